"""A sheet of degraded versions of an image: one row per degradation type, one column per level."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw

from qualiclip.degrade import MIN_SIDE, N_LEVELS, TYPES, Draw, degrade
from qualiclip.tensors import to_image, to_tensor

TILE = 160  # width in px of an image on the sheet; it is degraded before it is shrunk
LABEL = 14  # height in px of the text above a row


def sheet(image: Image.Image, types: list[str], seed: int = 0) -> Image.Image:
    """Draw the image (level 0) and its five levels under each degradation type of `types`.

    seed: of the random parameters, which all levels share. Raises ValueError for an unknown type, or an image of less
    than 64 px.
    """
    # check the arguments
    unknown = [t for t in types if t not in TYPES]
    if unknown:
        raise ValueError(f"unknown type {unknown[0]!r}; types: {', '.join(TYPES)}")
    if min(image.size) < MIN_SIDE:
        raise ValueError(f"{image.width}x{image.height} px is under {MIN_SIDE} px")
    # an empty sheet
    photo = to_tensor(image).float() / 255
    levels = torch.arange(N_LEVELS + 1.0)
    width, height = TILE, round(TILE * image.height / image.width)
    out = Image.new("RGB", (len(levels) * width, len(types) * (height + LABEL)), "white")
    pen = ImageDraw.Draw(out)
    # one row per type: its name and values, and below them the levels
    for row, type_name in enumerate(types):
        draw = Draw.sample(1, torch.Generator().manual_seed(seed)).repeat(len(levels))
        images = degrade(photo.expand(len(levels), -1, -1, -1), type_name, levels, draw)
        t, top = TYPES[type_name], row * (height + LABEL)
        pen.text((2, top + 1), f"{type_name}: {t.parameter} {', '.join(map(str, t.values))}", "black")
        for column, degraded in enumerate(images):
            tile = to_image(degraded).resize((width, height), Image.Resampling.LANCZOS)
            out.paste(tile, (column * width, top + LABEL))
    return out
