"""The contract of a method, and the loaders of the card's sources.

A method is a class with `load(device)` and `score(batch)`; a fresh instance is made per job.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from qualiclip.bench.beside import load_function
from qualiclip.bench.cards import CardError, MethodCard


class NotRun(RuntimeError):
    """A method that cannot be run here (its weights cannot be had); the message says why."""


@dataclass(frozen=True)
class Batch:
    """Images of one size: pixels (B, 3, H, W) float32 in [0, 1] on the device, names and files."""

    images: Tensor
    names: list[str]
    files: list[Path]


class Method(Protocol):
    def load(self, device: str) -> None:
        """Get ready on `device` ("cpu" or "cuda"). Raises NotRun when weights cannot be had."""

    def score(self, batch: Batch) -> Tensor:
        """(B,) finite scores, in the card's direction."""


class PyiqaMethod:
    """A metric of pyiqa by its name there."""

    def __init__(self, metric: str):
        self.metric = metric

    def load(self, device: str) -> None:
        import pyiqa

        if self.metric not in pyiqa.list_models():
            raise CardError(f"pyiqa has no metric {self.metric!r}")
        self.model = pyiqa.create_metric(self.metric, device=torch.device(device))

    def score(self, batch: Batch) -> Tensor:
        return self.model(batch.images).flatten()


class VariantMethod:
    """A model trained in this workflow."""

    def __init__(self, checkpoint: Path):
        self.checkpoint = checkpoint

    def load(self, device: str) -> None:
        from qualiclip.model import QualiCLIP

        self.model = QualiCLIP.from_checkpoint(self.checkpoint, device)

    def score(self, batch: Batch) -> Tensor:
        return self.model.score(batch.images)


def create(card: MethodCard, checkpoint: Path | None = None) -> Method:
    """The method behind a card. Raises CardError for a source that has no runner."""
    if card.pyiqa:
        return PyiqaMethod(card.pyiqa)
    if card.module:
        return load_function(card.module, card.path.parent)()
    if card.variant and checkpoint:
        return VariantMethod(checkpoint)
    raise CardError(f"{card.path}: nothing to run: its scores come from elsewhere")
