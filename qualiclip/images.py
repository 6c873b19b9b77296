"""Reading images, the one way the suite does it. No torch here: the index reads headers without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def open_rgb(path: str | Path) -> Image.Image:
    """The image upright (EXIF) in 8-bit RGB: grey is repeated, 16 bits are scaled to 8, transparency is
    dropped, CMYK converted, of an animation the first frame is taken.

    Raises OSError, ValueError or PIL's DecompressionBombError for what is not an image to be scored.
    """
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # Pillow would cut 16 bits off at 255
            upright = Image.fromarray((np.asarray(upright, np.float64) / 257).round().clip(0, 255).astype(np.uint8))
        return upright.convert("RGB")
