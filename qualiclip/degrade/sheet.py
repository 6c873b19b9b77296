"""A sheet of degraded images: a row for each type, a column for each level."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw

from qualiclip.degrade import MIN_SIDE, N_LEVELS, TYPES, Draw, degrade
from qualiclip.tensors import to_image, to_tensor

TILE = 160  # px shown of each image, after the degradation
LABEL = 14


def sheet(image: Image.Image, types: list[str], seed: int = 0) -> Image.Image:
    """The image (level 0) and its five levels under each type. Raises ValueError for an unknown type or small image."""
    unknown = [t for t in types if t not in TYPES]
    if unknown:
        raise ValueError(f"unknown type {unknown[0]!r}; types: {', '.join(TYPES)}")
    if min(image.size) < MIN_SIDE:
        raise ValueError(f"{image.width}x{image.height} px is under {MIN_SIDE} px")
    photo = to_tensor(image).float() / 255
    levels = torch.arange(N_LEVELS + 1.0)
    width, height = TILE, round(TILE * image.height / image.width)
    out = Image.new("RGB", (len(levels) * width, len(types) * (height + LABEL)), "white")
    pen = ImageDraw.Draw(out)
    for row, kind in enumerate(types):
        draw = Draw.sample(1, torch.Generator().manual_seed(seed)).repeat(len(levels))
        images = degrade(photo.expand(len(levels), -1, -1, -1), kind, levels, draw)
        top = row * (height + LABEL)
        pen.text((2, top + 1), f"{kind}: {TYPES[kind].parameter} {', '.join(map(str, TYPES[kind].values))}", "black")
        for column, degraded in enumerate(images):
            tile = to_image(degraded).resize((width, height), Image.Resampling.LANCZOS)
            out.paste(tile, (column * width, top + LABEL))
    return out
