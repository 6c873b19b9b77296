"""Brightness: tone curves that brighten or darken, and a constant added to all channels."""

from __future__ import annotations

import torch
from kornia.color import lab_to_rgb, rgb_to_lab
from torch import Tensor

from qualiclip.degrade.draw import Draw, per_image


def _parabola(x: Tensor, amount: Tensor) -> Tensor:
    """The parabola through (0, 0), (0.5, 0.5 + amount / 2), (1, 1), clipped to [0, 1]."""
    return (x + 2 * per_image(amount, x) * x * (1 - x)).clamp(0, 1)


def brighten(x: Tensor, amount: Tensor, draw: Draw) -> Tensor:
    """Two thirds of a tone curve applied to RGB, and one third of the same curve applied to Lab lightness."""
    lab = rgb_to_lab(x)
    lightness = _parabola(lab[:, :1] / 100, amount) * 100
    return (2 * _parabola(x, amount) + lab_to_rgb(torch.cat([lightness, lab[:, 1:]], 1))) / 3


def darken(x: Tensor, amount: Tensor, draw: Draw) -> Tensor:
    """A tone curve that lowers the middle tones of each channel."""
    return _parabola(x, -amount)


def mean_shift(x: Tensor, amount: Tensor, draw: Draw) -> Tensor:
    """`amount`, with the drawn sign, added to every channel."""
    return x + per_image(amount * draw.sign(), x)
