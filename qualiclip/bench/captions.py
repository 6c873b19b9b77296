"""Words that tables, figures and the report share: names of degradations, what labels are, what is missing of a set."""

from __future__ import annotations

import pandas as pd

from qualiclip.bench.cards.dataset import DatasetCard

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
