"""A method in one class: the deviation of an image's luminance. Replace it by your own."""

from __future__ import annotations

import torch
from torch import Tensor

from qualiclip.bench.methods.contract import Batch


class MyMethod:
    # Called once per job, before load. The card's `arguments` come by keyword; also `fitted`, `checkpoint`, `labels`
    # or `mirror`, if the card asks for them (fit, variant, reads_labels, weights).
    def __init__(self, weights: tuple[float, float, float] = (0.299, 0.587, 0.114)):
        self.weights = weights

    # Called once per job with "cpu" or "cuda", before the first image. Build the model here and move it there.
    # Raise NotRun (of the same module as Batch) with the reason where its weights cannot be had.
    def load(self, device: str) -> None:
        self.rgb_to_luminance = torch.tensor(self.weights, device=device).view(1, 3, 1, 1)

    # Called for every batch, without gradients. batch.images: (B, 3, H, W), float32 in [0, 1], on the device, all of
    # one size; batch.names and batch.files: B names and paths. Return (B,) finite scores in the card's direction.
    def score(self, batch: Batch) -> Tensor:
        luminance = (batch.images * self.rgb_to_luminance).sum(1)
        return luminance.std((1, 2))
