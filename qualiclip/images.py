"""The one door for pictures: every image file of the suite is opened here, and here alone.

Whatever is wrong with a file is an `UnreadableImage` with one line of reason. It needs no torch: the index reads
headers without it.
"""

from __future__ import annotations

import logging
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from qualiclip import memory

with suppress(ImportError):  # an optional plugin, for photos of phones
    from pillow_heif import register_heif_opener

    register_heif_opener()

HEIF = frozenset({".heic", ".heif"})
SUFFIXES = HEIF | {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm"}
SUFFIXES |= {".tif", ".tiff", ".webp"}
ORIENTATION = 0x0112  # the EXIF tag
TRANSPOSE = {  # what turns an orientation upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TURNED = (5, 6, 7, 8)  # orientations that swap width and height
TIFF_WIDTH, TIFF_HEIGHT, TIFF_BITS = 256, 257, 258  # tags
DECODING = 16  # bytes per pixel while an image is decoded, turned and converted, at most

log = logging.getLogger(__name__)
# Pillow warns of large images, here the free memory decides; its limit for decompression bombs stays
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnreadableImage(ValueError):
    """A file that cannot be scored. The message names the file; `reason` is the rest of it, one line."""

    def __init__(self, path: str | Path, reason: str):
        super().__init__(f"{path}: {reason}")
        self.reason = reason

    def __reduce__(self):  # it crosses from a worker process to its parent
        return UnreadableImage, (str(self).removesuffix(f": {self.reason}"), self.reason)


@cache
def _formats() -> tuple[str, ...]:
    """Pillow's names of the formats behind SUFFIXES. Others are not tried: EPS, for one, would start a program."""
    known = Image.registered_extensions()
    return tuple(sorted({known[s] for s in SUFFIXES if s in known} | {"DIB", "MPO"} & set(Image.OPEN)))


def _reason(path: str | Path, e: BaseException) -> str:
    """What an error of Pillow or of the system means, in one line."""
    if isinstance(e, OSError) and e.strerror:
        return e.strerror
    if isinstance(e, UnidentifiedImageError):
        if Path(path).suffix.lower() in HEIF:
            return "HEIC needs a plugin: pip install pillow-heif"
        return "damaged, or not an image of a known format"
    if isinstance(e, MemoryError):
        return "not enough memory to decode it"
    return " ".join(f"{'' if isinstance(e, (OSError, ValueError)) else type(e).__name__} {e}".split())[:300]


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """An image of which the header was read. Raises UnreadableImage, whatever was raised in the block."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            os.listdir(path)  # says why a folder that was to be searched is here instead
            raise UnreadableImage(path, "not a file")
        with Image.open(path, formats=_formats()) as image:
            yield image
    except UnreadableImage:
        raise
    except NotADirectoryError as e:
        raise UnreadableImage(path, "not a regular file") from e
    except Exception as e:  # damaged files raise whatever the code of their format comes to
        raise UnreadableImage(path, _reason(path, e)) from e


def open_rgb(path: str | Path, quiet: bool = False) -> Image.Image:
    """The image in 8-bit RGB, turned upright by its EXIF orientation.

    Grey is repeated, 16 bits are scaled to 8, transparency is laid on white, CMYK is converted; of an animation the
    first frame is used. Where the EXIF is damaged the image stays as it is stored, and a line is logged,
    unless `quiet`.
    Raises UnreadableImage for what cannot be scored: other files, damaged ones, pixel types without an agreed white
    (floating point, 32-bit integers), and images that there is no memory to decode.
    """
    with _opened(path) as image:
        need, free = image.width * image.height * DECODING, memory.available()
        if need > free:
            raise UnreadableImage(path, memory.shortage(image.size, need, free))
        image.load()
        kind, method = image.format, TRANSPOSE.get(_orientation(image, None if quiet else path))
        upright = _eight_bit(image, kind)
        upright = _on_white(upright) if upright.has_transparency_data else upright.convert("RGB")
        return upright.transpose(method) if method is not None else upright


def _orientation(image: Image.Image, path: str | Path | None = None) -> int:
    """The EXIF orientation, 1 to 8; 1 where the EXIF is damaged, which is logged for `path`."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception as e:  # as for pixels
        if path is not None:
            log.warning("%s: its EXIF data is damaged (%s); scored as it is stored", path, _reason(path, e))
        return 1


def _eight_bit(image: Image.Image, kind: str | None) -> Image.Image:
    """An image of 8 bits per channel. Raises ValueError for pixels of which nobody knows the white."""
    if image.mode == "F" or (image.mode == "I" and kind not in ("PNG", "PPM")):
        number = "floating point" if image.mode == "F" else "32-bit integer"
        raise ValueError(f"{number} pixels have no agreed white; save it with 8 or 16 bits per channel")
    if not image.mode.startswith("I"):
        return image
    # Pillow would clip 16 bits at 255
    white = 4095 if kind == "TIFF" and image.tag_v2.get(TIFF_BITS) == (12,) else 65535
    grey = np.asarray(image, np.float32) * (255 / white)
    return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    """A transparent image as it looks on a white page: what lies under full transparency is seen by nobody."""
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height of the upright image, read from the header alone. Raises UnreadableImage."""
    with _opened(path) as image:
        # of a TIFF, Pillow has swapped them already, or has not, by its version
        size = image.size if image.format != "TIFF" else (image.tag_v2[TIFF_WIDTH], image.tag_v2[TIFF_HEIGHT])
        # asking a PNG for EXIF that its header does not have would decode all of it
        in_header = image.format != "PNG" or any(k in image.info for k in ("exif", "xmp", "Raw profile type exif"))
        return size[::-1] if in_header and _orientation(image) in TURNED else size


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
