"""Controls: what a quality score must beat. None of them knows what quality is."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import torch
from kornia.color import rgb_to_grayscale
from kornia.filters import laplacian
from torch import Tensor

from qualiclip.bench.methods.contract import Batch


class Random:
    """Uniform in [0, 1), from the image's name alone, so that it never changes."""

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> Tensor:
        digests = [hashlib.sha256(name.encode()).digest()[:8] for name in batch.names]
        return torch.tensor([int.from_bytes(d) / 2**64 for d in digests], dtype=torch.float64)


class FileSize:
    """Bytes of the file: compression leaves more to what has more detail, or noise."""

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> Tensor:
        return torch.tensor([file.stat().st_size for file in batch.files], dtype=torch.float64)


class Laplacian:
    """Mean absolute 3x3 Laplacian of the grey image: sharpness, or noise."""

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> Tensor:
        return laplacian(rgb_to_grayscale(batch.images), 3).abs().mean((1, 2, 3))


class NoisyOracle:
    """The label itself plus Gaussian noise of `noise` standard deviations of the labels.

    What a perfect but imprecise method would look like. The noise comes from the image's name; labels come
    signed so that higher is better.
    """

    def __init__(self, labels: pd.DataFrame, noise: float):
        mos = labels["mos"].to_numpy(float)
        self.mos = dict(zip(labels["image"], mos, strict=True))
        self.spread = noise * float(mos.std())

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> Tensor:
        seeds = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) for name in batch.names]
        noise = [np.random.default_rng(seed).standard_normal() * self.spread for seed in seeds]
        return torch.tensor(
            [self.mos[name] + n for name, n in zip(batch.names, noise, strict=True)], dtype=torch.float64
        )
