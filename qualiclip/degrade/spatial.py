"""Spatial degradations: jitter, displaced patches, pixelation, quantization, colour blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from qualiclip.degrade.draw import Draw, per_image

JITTER_PASSES = 5
PATCH = 16  # px
BLOCK = 32  # px
MAX_COUNT = 100  # patches or blocks whose positions are drawn; the level determines how many of them are used


def jitter(x: Tensor, sigma: Tensor, draw: Draw) -> Tensor:
    """Each pixel read from a place displaced by normal noise (bilinear interpolation), five times in a row.

    sigma: standard deviation of a displacement in px.
    """
    b, _, h, w = x.shape
    noise = draw.field(lambda g: torch.randn(JITTER_PASSES, h, w, 2, generator=g, device=x.device), x.device)
    base = F.affine_grid(torch.eye(2, 3, device=x.device).expand(b, 2, 3), [b, 1, h, w], align_corners=False)
    per_pixel = per_image(sigma) * torch.tensor([2 / w, 2 / h], device=x.device)
    for i in range(JITTER_PASSES):
        x = F.grid_sample(x, base + noise[:, i] * per_pixel, padding_mode="border", align_corners=False)
    return x


def non_eccentricity_patch(x: Tensor, count: Tensor, draw: Draw) -> Tensor:
    """`count` patches of 16x16 px copied, one after the other, to a place at most 8 px away."""
    # where each patch is cut and where it is put: (B, MAX_COUNT, 2) rows and columns of corners
    h, w = x.shape[-2:]
    x = x.clone()
    u = draw.field(lambda g: torch.rand(MAX_COUNT, 4, generator=g, device=x.device), x.device).cpu()
    margin = PATCH // 2
    room = torch.tensor([h - PATCH - 2 * margin, w - PATCH - 2 * margin])
    source = (u[..., :2] * (room + 1)).long() + margin
    target = source + (u[..., 2:] * (PATCH + 1)).long() - margin
    # the k-th patch of all images at once
    patch = torch.arange(PATCH, device=x.device)
    for k in range(int(count.max())):
        use = (count > k).nonzero().flatten()  # images that have a k-th patch
        s, t = source[use.cpu(), k].to(x.device), target[use.cpu(), k].to(x.device)
        rows, columns = s[:, :1] + patch, s[:, 1:] + patch
        moved = x[use[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        rows, columns = t[:, :1] + patch, t[:, 1:] + patch
        x[use[:, None, None], :, rows[:, :, None], columns[:, None, :]] = moved
    return x


def pixelate(x: Tensor, strength: Tensor, draw: Draw) -> Tensor:
    """Resized to 0.95 - strength^0.6 of the size and back, by the nearest neighbour."""
    out = torch.empty_like(x)
    h, w = x.shape[-2:]
    for s in strength.unique():
        members = strength == s
        scale = 0.95 - float(s) ** 0.6
        small = F.interpolate(x[members], size=(max(1, int(h * scale)), max(1, int(w * scale))), mode="nearest")
        out[members] = F.interpolate(small, size=(h, w), mode="nearest")
    return out


def quantization(x: Tensor, levels: Tensor, draw: Draw) -> Tensor:
    """Every channel rounded to one of `levels` values, which are evenly spaced in [0, 1]."""
    n = per_image(levels)
    return torch.minimum((x * n).floor(), n - 1) / (n - 1)


def color_block(x: Tensor, count: Tensor, draw: Draw) -> Tensor:
    """`count` blocks of 32x32 px, each of one random colour, at random places."""
    h, w = x.shape[-2:]
    x = x.clone()
    u = draw.field(lambda g: torch.rand(MAX_COUNT, 5, generator=g, device=x.device), x.device)
    top = (u[..., 0] * (h - BLOCK + 1)).long()
    left = (u[..., 1] * (w - BLOCK + 1)).long()
    block = torch.arange(BLOCK, device=x.device)
    for k in range(int(count.max())):
        use = (count > k).nonzero().flatten()  # images that have a k-th block
        rows, columns = top[use, k, None] + block, left[use, k, None] + block
        x[use[:, None, None], :, rows[:, :, None], columns[:, None, :]] = u[use, k, None, None, 2:]
    return x
