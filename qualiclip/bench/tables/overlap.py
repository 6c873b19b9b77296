"""How many images behind a value the weights of a method were trained on."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qualiclip.bench.formats import test_parts, training_images
from qualiclip.bench.tables.results import PARTS, Result


@dataclass(frozen=True)
class Overlap:
    """seen, of: training images and all images of each part behind a value."""

    seen: list[int]
    of: list[int]

    @property
    def text(self) -> str:
        """Beside the value: seen/all, of several parts the medians."""
        return f"{np.median(self.seen):.0f}/{np.median(self.of):.0f}"

    @property
    def words(self) -> str:
        """In a note, with what lies between the parts."""
        low, high = min(self.seen), max(self.seen)
        parts = f", {low} to {high} in the {len(self.seen)} test parts" if len(self.seen) > 1 else ""
        return f"{np.median(self.seen):.0f} of {np.median(self.of):.0f} images{parts}"


def overlap(r: Result, index: pd.DataFrame, statistic: str) -> Overlap | None:
    """What the weights of a result have seen of the images behind a statistic; None where that is not known."""
    images = r.method.trained_on_list.get(r.dataset.name)
    if images is None:
        return None
    trained = training_images(index, images)
    parts = [inside for name, inside in test_parts(index).items() if re.fullmatch(PARTS[statistic], name)]
    if not parts:
        return None
    return Overlap([int((trained & inside).sum()) for inside in parts], [int(inside.sum()) for inside in parts])
