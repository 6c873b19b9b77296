"""Noise: white in RGB or in YCbCr, impulse, multiplicative. The variances are those of images in [0, 1]."""

from __future__ import annotations

import torch
from kornia.color import rgb_to_ycbcr, ycbcr_to_rgb
from torch import Tensor

from qualiclip.degrade.draw import Draw, per_image


def white_noise(x: Tensor, variance: Tensor, draw: Draw) -> Tensor:
    """Gaussian noise added to every channel of every pixel."""
    return x + draw.normal(x) * per_image(variance.sqrt(), x)


def white_noise_ycbcr(x: Tensor, variance: Tensor, draw: Draw) -> Tensor:
    """Gaussian noise added in YCbCr."""
    return ycbcr_to_rgb(rgb_to_ycbcr(x) + draw.normal(x) * per_image(variance.sqrt(), x))


def impulse_noise(x: Tensor, density: Tensor, draw: Draw) -> Tensor:
    """Channels of pixels set to 0 or to 1, each with probability density / 2."""
    u = draw.field(lambda g: torch.rand(x.shape[1:], generator=g, device=x.device), x.device)
    half = per_image(density / 2, x)
    return x.masked_fill(u < half, 0.0).masked_fill_(u > 1 - half, 1.0)


def multiplicative_noise(x: Tensor, variance: Tensor, draw: Draw) -> Tensor:
    """Every channel of every pixel multiplied by 1 plus Gaussian noise."""
    return x * (1 + draw.normal(x) * per_image(variance.sqrt(), x))
