"""Photos as methods are given them."""

from __future__ import annotations

from pathlib import Path

import torch

from qualiclip.bench.methods.contract import Batch
from qualiclip.tensors import to_image


def batch_of(images: torch.Tensor) -> Batch:
    """Images (B, 3, H, W) without files."""
    names = [f"{i}.png" for i in range(len(images))]
    return Batch(images, names, [Path(n) for n in names])


def write_photos(photos: torch.Tensor, folder: Path) -> list[Path]:
    """The photos as files of a folder."""
    files = [folder / f"{i}.png" for i in range(len(photos))]
    for x, file in zip(photos, files, strict=True):
        to_image(x).save(file)
    return files
