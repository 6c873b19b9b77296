"""Colour: diffusion, shift, saturation in HSV and in Lab."""

from __future__ import annotations

import math

import torch
from kornia.color import lab_to_rgb, rgb_to_grayscale, rgb_to_lab
from kornia.filters import spatial_gradient
from torch import Tensor

from qualiclip.degrade.blur import blur
from qualiclip.degrade.draw import Draw, per_image


def color_diffusion(x: Tensor, amount: Tensor, draw: Draw) -> Tensor:
    """Chroma (Lab a and b) blurred with sigma 1.5 * amount + 2 px, then multiplied by the amount."""
    lab = rgb_to_lab(x)
    ab = blur(lab[:, 1:], 1.5 * amount + 2) * per_image(amount, x)
    return lab_to_rgb(torch.cat([lab[:, :1], ab], 1))


def color_shift(x: Tensor, shift: Tensor, draw: Draw) -> Tensor:
    """The green channel moved by `shift` px in the drawn direction, the more the stronger the edges are at a place."""
    # weight of the moved channel, in [0, 1]: the strength of edges
    edges = spatial_gradient(rgb_to_grayscale(x), mode="diff").square().sum(2).sqrt()
    edges = blur(edges, torch.full_like(shift, 4.0)).flatten(1)
    low, high = edges.aminmax(dim=1, keepdim=True)
    weight = ((edges - low) / (high - low).clamp(min=1e-6)).view_as(x[:, 0])
    # the moved channel, borders replicated
    angle = math.pi / 2 * draw.uniform[:, 0]
    dy = (shift * torch.sin(angle)).round().long()
    dx = (shift * torch.cos(angle)).round().long()
    h, w = x.shape[-2:]
    rows = (torch.arange(h) - dy[:, None]).clamp(0, h - 1)
    columns = (torch.arange(w) - dx[:, None]).clamp(0, w - 1)
    pixels = (rows[:, :, None] * w + columns[:, None]).flatten(1).to(x.device, non_blocking=True)
    moved = x[:, 1].flatten(1).gather(1, pixels).view_as(weight)
    green = torch.lerp(x[:, 1], moved, weight)
    return torch.stack([x[:, 0], green, x[:, 2]], 1)


def color_saturation_hsv(x: Tensor, factor: Tensor, draw: Draw) -> Tensor:
    """HSV saturation multiplied by the factor.

    For a fixed hue and value V every channel is V - S * V * k(hue), so that a factor on the saturation S is a factor
    on the distance to V. A negative factor gives the complementary hue, as the released parameter values intend.
    """
    value = x.amax(1, keepdim=True)
    return value - per_image(factor, x) * (value - x)


def color_saturation_lab(x: Tensor, factor: Tensor, draw: Draw) -> Tensor:
    """Chroma (Lab a and b) multiplied by the factor."""
    lab = rgb_to_lab(x)
    return lab_to_rgb(torch.cat([lab[:, :1], lab[:, 1:] * per_image(factor, x)], 1))
