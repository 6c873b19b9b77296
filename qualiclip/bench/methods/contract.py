"""What a method is: the classes that a card's `module:` may name, and what they are given.

Nothing here imports torch, so that a rule or a job that only needs the names stays light.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qualiclip.bench.absence import NotRun as NotRun

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Images of one size: pixels (B, 3, H, W) float32 in [0, 1] on the device, names and files."""

    images: Tensor
    names: list[str]
    files: list[Path]


class Method(Protocol):
    """Scores images one by one. A fresh instance is created per job.

    What its card asks for reaches the constructor by keyword: `arguments`, fitted= (a file), labels= (an index of
    which higher is better), checkpoint= (a folder) and mirror= (a folder, or None).
    It may have an attribute `bytes_per_pixel`, the memory that scoring takes on a CPU: an image that needs more than is
    free then has a row that says so.
    """

    def load(self, device: str) -> None:
        """Get ready on `device` ("cpu" or "cuda"). Raises NotRun when weights cannot be had."""

    def score(self, batch: Batch) -> Tensor:
        """(B,) finite scores, in the direction that the card states."""


class FittedMethod(Method, Protocol):
    """A method of a card with `fit: true`: it is fitted once to pristine photos, then created with fitted=."""

    def fit(self, files: list[Path], out: Path, device: str) -> None:
        """Fit to photos and write the result to `out`. Raises NotRun when weights cannot be had."""


@dataclass(frozen=True)
class Part:
    """Images of one part of a split: features (n, D) float32, and labels (n,) in [0, 1], higher is better."""

    features: np.ndarray
    mos: np.ndarray

    def __len__(self) -> int:
        return len(self.mos)


@dataclass(frozen=True)
class Split:
    """What a model may see of a split. `val` is empty in a set too small for it."""

    train: Part
    val: Part


class SplitMethod(Protocol):
    """A method of a card with `features_of`: it learns one model per split. checkpoint= and mirror= reach it where
    the card has a variant."""

    def fit(self, splits: list[Split], device: str) -> None:
        """Learn one model per split. device: "auto", "cpu" or "cuda". Raises NotRun when weights cannot be had."""

    def predict(self, split: int, features: np.ndarray) -> np.ndarray:
        """(n, D) features -> (n,) scores by the model of that split, higher is better."""

    def learned(self) -> dict[str, np.ndarray]:
        """What the models have learned, the splits along the first axis; stored beside the scores."""
