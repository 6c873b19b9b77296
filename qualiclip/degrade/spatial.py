"""Spatial degradations: jitter, displaced patches, pixelation, quantization, colour blocks."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from qualiclip.degrade.draw import Draw, per_image

JITTER_PASSES = 5
PATCH, REACH = 16, 8  # px
BLOCK = 32  # px
MAX_COUNT = 100  # patches or blocks whose positions are drawn; the level determines how many of them are used


def jitter(x: Tensor, sigma: Tensor, draw: Draw) -> Tensor:
    """Each pixel read from a place displaced by normal noise (bilinear interpolation), five times in a row.

    sigma: standard deviation of a displacement in px.
    """
    b, _, h, w = x.shape
    noise = draw.field(lambda g: torch.randn(JITTER_PASSES, h, w, 2, generator=g, device=x.device), x.device)
    base = F.affine_grid(torch.eye(2, 3, device=x.device).expand(b, 2, 3), [b, 1, h, w], align_corners=False)
    per_pixel = per_image(sigma, x) * torch.tensor([2 / w, 2 / h]).to(x.device, non_blocking=True)
    for i in range(JITTER_PASSES):
        x = F.grid_sample(x, base + noise[:, i] * per_pixel, padding_mode="border", align_corners=False)
    return x


def non_eccentricity_patch(x: Tensor, count: Tensor, draw: Draw) -> Tensor:
    """`count` patches of 16x16 px copied, one after the other, to a place at most 8 px away."""
    return displace_patches(x, count, draw, margin=REACH)


def displace_patches(x: Tensor, count: Tensor, draw: Draw, margin: int) -> Tensor:
    """The same, for patches that are cut at least `margin` px from the border, 8 or more."""
    h, w = x.shape[-2:]
    u = draw.field(lambda g: torch.rand(MAX_COUNT, 4, generator=g), torch.device("cpu"))
    # where each patch is cut and where it is put: (B, MAX_COUNT, 2) rows and columns of corners
    room = torch.tensor([h - PATCH - 2 * margin, w - PATCH - 2 * margin])
    source = (u[..., :2] * (room + 1)).long() + margin
    target = source + (u[..., 2:] * (2 * REACH + 1)).long() - REACH
    # copies of copies, worked out on pixel numbers: the same for all crops and prefixes of one draw
    moves: dict[tuple[int, int], np.ndarray] = {}
    for i, (seed, n) in enumerate(zip(draw.seed.tolist(), count.ceil().int().tolist(), strict=True)):
        if (seed, n) not in moves:
            moves[seed, n] = _moved(np.arange(h * w).reshape(h, w), source[i, :n].numpy(), target[i, :n].numpy())
    index = np.stack([moves[key] for key in zip(draw.seed.tolist(), count.ceil().int().tolist(), strict=True)])
    index = torch.from_numpy(index).flatten(1).to(x.device, non_blocking=True)
    return x.flatten(2).gather(2, index[:, None].expand(-1, 3, -1)).view_as(x)


def _moved(pixels: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Pixel numbers (H, W) after patches were copied, one after the other, from `source` to `target` corners (n, 2)."""
    for (y0, x0), (y1, x1) in zip(source, target, strict=True):
        pixels[y1 : y1 + PATCH, x1 : x1 + PATCH] = pixels[y0 : y0 + PATCH, x0 : x0 + PATCH].copy()
    return pixels


def pixelate(x: Tensor, strength: Tensor, draw: Draw) -> Tensor:
    """Resized to 0.95 - strength^0.6 of the size and back, by the nearest neighbour."""
    out = torch.empty_like(x)
    h, w = x.shape[-2:]
    for s in strength.unique().tolist():
        members = (strength == s).nonzero().flatten().to(x.device, non_blocking=True)
        scale = 0.95 - s**0.6
        size = max(1, int(h * scale)), max(1, int(w * scale))
        small = F.interpolate(x.index_select(0, members), size=size, mode="nearest")
        out.index_copy_(0, members, F.interpolate(small, size=(h, w), mode="nearest"))
    return out


def quantization(x: Tensor, levels: Tensor, draw: Draw) -> Tensor:
    """Every channel rounded to one of `levels` values, which are evenly spaced in [0, 1]."""
    n = per_image(levels, x)
    return torch.minimum((x * n).floor(), n - 1) / (n - 1)


def color_block(x: Tensor, count: Tensor, draw: Draw) -> Tensor:
    """`count` blocks of 32x32 px, each of one random colour, at random places."""
    h, w = x.shape[-2:]
    u = draw.field(lambda g: torch.rand(MAX_COUNT, 5, generator=g), torch.device("cpu"))
    corners = (u[..., :2] * torch.tensor([h - BLOCK + 1, w - BLOCK + 1])).long().numpy()
    # the number of the last block that covers a pixel, 0 for none
    last = np.zeros((len(x), h, w), np.int64)
    for i, n in enumerate(count.ceil().int().tolist()):
        for k, (top, left) in enumerate(corners[i, :n], start=1):
            last[i, top : top + BLOCK, left : left + BLOCK] = k
    number = torch.from_numpy(last).flatten(1).to(x.device, non_blocking=True)
    colors = torch.cat([torch.zeros(len(x), 1, 3), u[..., 2:]], 1).mT.to(x.device, non_blocking=True)
    painted = colors.gather(2, number[:, None].expand(-1, 3, -1)).view_as(x)
    return torch.where((number > 0).view(-1, 1, h, w), painted, x)
