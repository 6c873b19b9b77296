"""Reading images, the one way the suite does it. No torch here: the index reads headers without it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def open_rgb(path: str | Path) -> Image.Image:
    """The image upright (EXIF) in 8-bit RGB. Raises OSError or ValueError for what is not an image."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")
