"""Words that tables, figures and the report share: names of degradations, what labels are, what is missing of a set."""

from __future__ import annotations

import pandas as pd

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.table import TableCard

FAMILIES = {  # in the order of the rows
    "opinion-unaware": "opinion-unaware methods",
    "supervised": "supervised methods",
    "full-reference": "full-reference metrics",
    "control": "controls",
    "ablation": "variants",
}

SPELLINGS = {"jpeg": "JPEG", "jpeg2000": "JPEG 2000", "hsv": "HSV", "ycbcr": "YCbCr", "lab": "Lab"}
SPELLINGS |= {"non": "non-eccentricity", "eccentricity": ""}


def type_title(name: str) -> str:
    """The name of a degradation type as it is printed."""
    words = [SPELLINGS.get(w, w) for w in name.split("_")]
    return " ".join(w for w in words if w)


def group_title(name: str) -> str:
    """The name of a group of degradation types as it is printed."""
    return name.replace("_", " and ")


def labels_note(datasets: list[DatasetCard]) -> list[str]:
    """One sentence for each kind of label that is not a human opinion."""
    titles: dict[str, list[str]] = {}
    for d in datasets:
        if d.labels and not d.human:
            titles.setdefault(d.labels.origin, []).append(d.title)
    return [f"Labels of {', '.join(t)}: {origin}, no human opinions." for origin, t in titles.items()]


def caption(card: TableCard, methods: list[MethodCard]) -> str:
    """The caption of a table; {families} in it stands for the families of the methods that are there."""
    present = [words for family, words in FAMILIES.items() if any(m.family == family for m in methods)]
    words = " and ".join(filter(None, [", ".join(present[:-1]), *present[-1:]])) or "no methods"
    return card.caption.replace("{families}", words[0].upper() + words[1:])


def label_name(d: DatasetCard) -> str:
    """What the numbers of a label are called beside an image."""
    return "MOS" if d.human else f"label ({d.labels.origin})"


def missing_images(d: DatasetCard, index: pd.DataFrame) -> int:
    """Images of the complete set that the index lacks; 0 where the card does not state how many there are."""
    return max(0, (d.images.count or 0) - len(index))


def missing_note(d: DatasetCard, index: pd.DataFrame) -> list[str]:
    """One sentence for a set that was indexed without all of its images."""
    n = missing_images(d, index)
    return [f"{d.title}: {len(index)} of {d.images.count} images, {n} are missing."] if n else []
