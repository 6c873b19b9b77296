"""Sharpness and contrast: over-sharpening, S-shaped tone curves, a reduced range of values."""

from __future__ import annotations

import torch
from kornia.color import lab_to_rgb, rgb_to_lab
from torch import Tensor

from qualiclip.degrade.blur import blur
from qualiclip.degrade.draw import Draw, per_image


def high_sharpen(x: Tensor, amount: Tensor, draw: Draw) -> Tensor:
    """Unsharp mask on Lab lightness. Its low pass is a Gaussian of 6 px over 13 taps, as in the released generator."""
    lab = rgb_to_lab(x)
    lightness = lab[:, :1]
    detail = lightness - blur(lightness, torch.full_like(amount, 6.0), radius=6)
    return lab_to_rgb(torch.cat([lightness + per_image(amount, x) * detail, lab[:, 1:]], 1))


def linear_contrast(x: Tensor, amount: Tensor, draw: Draw) -> Tensor:
    """S-curve through (0.3, 0.3 - a/4), (0.5, 0.5), (0.7, 0.7 + a/4); a is the amount with the drawn sign.

    The curve of the released generator has the value 0.25 - b/4 at 0.3, which is the identity for b = -0.2; here
    a = b + 0.2. The not-a-knot cubic spline through these points and the corners is a single cubic, odd about 0.5:
    x + a c t (1/4 - t^2) with t = x - 1/2, and c = 1 / 0.168 so that it adds a/4 at t = 0.2.
    """
    t = x - 0.5
    return x + per_image(amount * draw.sign(), x) * t * (0.25 - t * t) / 0.168


def nonlinear_contrast(x: Tensor, half_range: Tensor, draw: Draw) -> Tensor:
    """Values mapped linearly from [0, 1] to 0.5 +- half_range."""
    return 0.5 + 2 * per_image(half_range, x) * (x - 0.5)
