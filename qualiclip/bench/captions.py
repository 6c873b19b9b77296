"""Sentences that tables, figures and the report share: what the labels of a set are, and what is missing of it."""

from __future__ import annotations

import pandas as pd

from qualiclip.bench.cards.dataset import DatasetCard


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
