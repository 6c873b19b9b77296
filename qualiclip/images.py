"""Reading images, the one way the suite does it. It needs no torch: the index reads headers without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
ORIENTATION = 0x0112  # the EXIF tag


def open_rgb(path: str | Path) -> Image.Image:
    """The image in 8-bit RGB, turned upright by its EXIF orientation.

    Grey is repeated, 16 bits are scaled to 8, transparency is dropped, CMYK is converted; of an animation the first
    frame is used. Raises OSError, ValueError or PIL's DecompressionBombError for what is not an image to be scored.
    """
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # Pillow would clip 16 bits at 255
            upright = Image.fromarray((np.asarray(upright, np.float64) / 257).round().clip(0, 255).astype(np.uint8))
        return upright.convert("RGB")


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, read from the header alone. Raises ValueError naming the file."""
    try:
        with Image.open(path) as image:
            # asking a PNG for EXIF that its header does not have would decode all of it
            has_exif = image.format != "PNG" or "exif" in image.info
            turned = has_exif and image.getexif().get(ORIENTATION, 1) in TURNED
            return image.size[::-1] if turned else image.size
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as e:
        raise ValueError(f"{path}: not an image that can be read ({e})") from e


def resized(image: Image.Image, shorter_side: int | None, interpolation: str = "bicubic") -> Image.Image:
    """The image with a shorter side of `shorter_side` px; None leaves it as it is."""
    if shorter_side is None or min(image.size) == shorter_side:
        return image
    scale = shorter_side / min(image.size)
    return image.resize([round(s * scale) for s in image.size], Image.Resampling[interpolation.upper()])


def batches_by_size(sizes: Iterable[tuple[int, int]], limit: Callable[[tuple[int, int]], int]) -> list[list[int]]:
    """Positions of images in batches of one size. limit: size -> images per batch. Order is kept within a size."""
    groups: dict[tuple[int, int], list[int]] = {}
    for i, size in enumerate(sizes):
        groups.setdefault(size, []).append(i)
    return [m[i : i + limit(size)] for size, m in groups.items() for i in range(0, len(m), limit(size))]
