"""The distorted images of the Waterloo Exploration Database, which its release leaves to be made."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from qualiclip.images import open_rgb

FULL = 255  # the value of white


def blurred(pixels: np.ndarray, width: int) -> np.ndarray:
    """Pixels (H, W, 3) under a Gaussian of `width` px, an odd number, and sigma width / 6; edges are mirrored."""
    values = gaussian_filter(pixels.astype(np.float32), width / 6, mode="reflect", radius=width // 2, axes=(0, 1))
    return values.round().astype(np.uint8)


def noisy(pixels: np.ndarray, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Pixels (H, W, 3) with white noise in each channel, of variance 2^exponent where white is 1."""
    values = pixels + FULL * 2 ** (exponent / 2) * rng.standard_normal(pixels.shape, np.float32)
    return values.round().clip(0, FULL).astype(np.uint8)


def through_jpeg2000(image: Image.Image, ratio: float, file: Path) -> None:
    """Compress by JPEG 2000 to `ratio`, and save what it decodes to as `file`, which the suite can read."""
    compressed = file.with_suffix(".jp2")
    image.save(compressed, quality_mode="rates", quality_layers=[ratio])
    with Image.open(compressed) as decoded:
        decoded.save(file)
    compressed.unlink()


def distorted(
    target: Path, pristine: Path, jpeg: list[int], jpeg2000: list[float], blur: list[int], noise: list[float]
) -> None:
    """Every photo of the set `pristine` under four types at the given levels, as <photo>_<type>_<level>.

    JPEG stays a JPEG file, the others are PNG. Codecs and noise are not MATLAB's: libjpeg and OpenJPEG of Pillow, and
    a generator that is seeded by the name of the file.
    """
    photos = sorted(p for p in pristine.rglob("*.bmp") if p.parent.name == "pristine_images")

    def save(photo: Path) -> None:
        image = open_rgb(photo)
        pixels = np.asarray(image)
        for level, quality in enumerate(jpeg, start=1):
            image.save(target / f"{photo.stem}_jpeg_{level}.jpg", quality=quality)
        for level, ratio in enumerate(jpeg2000, start=1):
            through_jpeg2000(image, ratio, target / f"{photo.stem}_jpeg2000_{level}.png")
        for level, width in enumerate(blur, start=1):
            Image.fromarray(blurred(pixels, width)).save(target / f"{photo.stem}_blur_{level}.png")
        for level, exponent in enumerate(noise, start=1):
            file = target / f"{photo.stem}_noise_{level}.png"
            rng = np.random.default_rng(zlib.crc32(file.name.encode()))
            Image.fromarray(noisy(pixels, exponent, rng)).save(file)

    with ThreadPoolExecutor() as pool:
        for _ in tqdm(pool.map(save, photos), total=len(photos), desc="distort", unit="photo"):
            pass
