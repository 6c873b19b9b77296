"""Reading images, the one way the suite does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def open_rgb(path: str | Path) -> Image.Image:
    """The image upright (EXIF) in 8-bit RGB. Raises OSError or ValueError for what is not an image."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def to_tensor(image: Image.Image) -> Tensor:
    """8-bit RGB image -> (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def to_image(x: Tensor) -> Image.Image:
    """(3, H, W) float in [0, 1] -> 8-bit RGB image."""
    return Image.fromarray((x.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())
