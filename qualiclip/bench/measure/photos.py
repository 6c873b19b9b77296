"""The undistorted photos behind the figures."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.formats import read_index
from qualiclip.images import open_rgb, resized
from qualiclip.tensors import to_tensor


def choose(index: Path, raw: Path, dataset: DatasetCard, count: int) -> list[Path]:
    """`count` photos, spread evenly over the index."""
    names = read_index(index)["image"]
    chosen = [names[i * len(names) // count] for i in range(min(count, len(names)))]
    return [raw / dataset.name / n for n in dict.fromkeys(chosen)]


def read(file: Path, dataset: DatasetCard, device: str = "cpu") -> Tensor:
    """(3, H, W) in [0, 1], resized as the dataset's card says."""
    image = open_rgb(file)
    if dataset.resize:
        image = resized(image, dataset.resize.shorter_side, dataset.resize.interpolation)
    return (to_tensor(image).float() / 255).to(device)


def middle(photo: Tensor, side: int) -> Tensor:
    """The central square of at most `side` px."""
    side = min(side, *photo.shape[-2:])
    top, left = ((s - side) // 2 for s in photo.shape[-2:])
    return photo[..., top : top + side, left : left + side]


def stack(files: list[Path], dataset: DatasetCard, side: int, device: str = "cpu") -> Tensor:
    """(N, 3, S, S): central squares of one size, S at most `side`."""
    squares = [middle(read(f, dataset, device), side) for f in files]
    least = min(s.shape[-1] for s in squares)
    return torch.stack([middle(s, least) for s in squares])
