"""The undistorted photos that degradations, scores at intensities and sizes, and explanations are measured on."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.formats import read_index
from qualiclip.images import open_rgb, resized
from qualiclip.tensors import to_tensor


def choose(index: Path, raw: Path, dataset: DatasetCard, count: int) -> list[Path]:
    """Files of `count` photos, spread evenly over the index; all of them where there are fewer."""
    names = read_index(index)["image"]
    chosen = [names[i * len(names) // count] for i in range(min(count, len(names)))]
    return [raw / dataset.name / n for n in dict.fromkeys(chosen)]


def opened(file: Path, dataset: DatasetCard) -> Image.Image:
    """The photo, resized as the dataset's card states. Raises UnreadableImage."""
    image = open_rgb(file)
    if dataset.resize:
        image = resized(image, dataset.resize.shorter_side, dataset.resize.interpolation)
    return image


def read(file: Path, dataset: DatasetCard, device: str = "cpu") -> Tensor:
    """(3, H, W) float32 in [0, 1] of `opened`."""
    return (to_tensor(opened(file, dataset)).float() / 255).to(device)


def middle(photo: Tensor, side: int) -> Tensor:
    """(3, H, W) -> the central square (3, S, S), S at most `side`."""
    side = min(side, *photo.shape[-2:])
    top, left = ((s - side) // 2 for s in photo.shape[-2:])
    return photo[..., top : top + side, left : left + side]


def stack(files: list[Path], dataset: DatasetCard, side: int, device: str = "cpu") -> Tensor:
    """(N, 3, S, S) in [0, 1]: the central squares of photos. S is `side`, or the shortest side of all where less."""
    squares = [middle(read(f, dataset, device), side) for f in files]
    smallest = min(s.shape[-1] for s in squares)
    return torch.stack([middle(s, smallest) for s in squares])
