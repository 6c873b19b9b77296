"""Noise: white in RGB, white in YCbCr, impulse, multiplicative."""

from __future__ import annotations

import torch
from kornia.color import rgb_to_ycbcr, ycbcr_to_rgb
from torch import Tensor

from qualiclip.degrade.draw import Draw, per_image


def white_noise(x: Tensor, variance: Tensor, draw: Draw) -> Tensor:
    return x + draw.normal(x) * per_image(variance.sqrt())


def white_noise_ycbcr(x: Tensor, variance: Tensor, draw: Draw) -> Tensor:
    return ycbcr_to_rgb(rgb_to_ycbcr(x) + draw.normal(x) * per_image(variance.sqrt()))


def impulse_noise(x: Tensor, density: Tensor, draw: Draw) -> Tensor:
    """Each sample becomes 0 or 1, with probability density / 2 each."""
    u = draw.field(lambda g: torch.rand(x.shape[1:], generator=g, device=x.device), x.device)
    half = per_image(density / 2)
    return x.masked_fill(u < half, 0.0).masked_fill_(u > 1 - half, 1.0)


def multiplicative_noise(x: Tensor, variance: Tensor, draw: Draw) -> Tensor:
    return x * (1 + draw.normal(x) * per_image(variance.sqrt()))
