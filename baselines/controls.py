"""Controls: methods that a quality score must outperform. They know nothing of quality, or read it from the labels."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pandas as pd
import torch
from kornia.color import rgb_to_grayscale
from kornia.filters import laplacian
from torch import Tensor

from qualiclip.bench.methods.contract import Batch


class Random:
    """A number in [0, 1) from the SHA-256 of the image's name, so that it never changes."""

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> Tensor:
        digests = [hashlib.sha256(name.encode()).digest()[:8] for name in batch.names]
        return torch.tensor([int.from_bytes(d) / 2**64 for d in digests], dtype=torch.float64)


class FileSize:
    """Bytes of the file: a compressed image with more detail, or more noise, is larger."""

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> Tensor:
        return torch.tensor([file.stat().st_size for file in batch.files], dtype=torch.float64)


class Laplacian:
    """Mean absolute value of the 3x3 Laplacian of the grey image: it grows with sharpness, and with noise."""

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> Tensor:
        return laplacian(rgb_to_grayscale(batch.images), 3).abs().mean((1, 2, 3))


class Entropy:
    """Entropy of the grey values, in bits: how evenly an image uses the 256 of them."""

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> Tensor:
        grey = (rgb_to_grayscale(batch.images) * 255).round().long().flatten(1)
        shares = torch.stack([torch.bincount(g, minlength=256) for g in grey]) / grey.shape[1]
        return torch.special.entr(shares).sum(1) / math.log(2)


class NoisyOracle:
    """The label plus Gaussian noise: an unbiased method of limited precision.

    The noise is seeded by the image's name, so that it never changes.
    """

    def __init__(self, labels: pd.DataFrame, noise: float):
        """labels: an index whose mos is oriented so that higher is better. noise: in standard deviations of mos."""
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
