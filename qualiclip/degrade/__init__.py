"""The 24 degradations: `degrade(images, type, levels, draw)`.

A batch of images and a tensor of levels in, a batch out, on any device. What is random is drawn
once (`Draw.sample`) and replayed on both crops of a pair and at all levels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from qualiclip.degrade import blur, brightness, color, compression, contrast, noise, spatial
from qualiclip.degrade.draw import Draw
from qualiclip.degrade.levels import GROUPS, N_LEVELS, TYPES, DegradationType

__all__ = ["GROUPS", "MIN_SIDE", "N_LEVELS", "TYPES", "DegradationType", "Draw", "degrade", "severity"]

MIN_SIDE = 64
CPU_CHUNK = 1 << 20  # samples

_MODULES = (blur, color, compression, noise, brightness, spatial, contrast)
_FUNCTIONS: dict[str, Callable[[Tensor, Tensor, Draw], Tensor]] = {
    name: next(getattr(m, name) for m in _MODULES if hasattr(m, name)) for name in TYPES
}


def severity(kind: str, levels: Tensor) -> Tensor:
    """(B,) levels in [0, 5], fractions allowed -> (B,) parameter values, linear between levels."""
    t = TYPES[kind]
    table = torch.tensor((t.neutral, *t.values), device=levels.device, dtype=torch.float32)
    below = levels.floor().long().clamp(0, N_LEVELS - 1)
    return torch.lerp(table[below], table[below + 1], levels.float() - below)


@torch.no_grad()
def degrade(images: Tensor, kind: str, levels: Tensor, draw: Draw) -> Tensor:
    """Degrade each image by one type at its own level.

    images: (B, 3, H, W) float32 in [0, 1], H and W at least 64 px. kind: a key of `TYPES`.
    levels: (B,) in [0, 5]; 0 leaves the image as it is, 1 to 5 are the levels of the table,
    fractions interpolate its parameter. draw: the random parameters of the B images.
    Returns (B, 3, H, W) float32 in [0, 1] on the same device.
    Raises KeyError for an unknown type, ValueError for a wrong shape or level.
    """
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[-2:]) < MIN_SIDE:
        raise ValueError(f"expected (B, 3, H, W) of at least {MIN_SIDE} px, got {tuple(images.shape)}")
    levels = levels.to(images.device)
    if levels.shape != images.shape[:1] or not bool(((levels >= 0) & (levels <= N_LEVELS)).all()):
        raise ValueError(f"expected {len(images)} levels in [0, {N_LEVELS}], got {levels.tolist()}")
    values, draw = severity(kind, levels), draw.to(images.device)
    # A CPU works on a few images at a time: temporaries stay in its cache and off the page allocator.
    size = len(images) if images.is_cuda else max(1, CPU_CHUNK // images[0].numel())
    out = torch.empty_like(images)
    for part in torch.arange(len(images)).split(size):
        rows = slice(int(part[0]), int(part[-1]) + 1)
        out[rows] = _FUNCTIONS[kind](images[rows], values[rows], draw[part]).clamp_(0, 1)
    untouched = levels == 0
    out[untouched] = images[untouched]
    return out
