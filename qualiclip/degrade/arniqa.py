"""Operations of the generator that the authors released with ARNIQA, where they differ from KADID-10k's.

That QualiCLIP was trained with this generator is inferred, not confirmed. Parameters are the same; seven operations are
not. Public code: miccunifi/ARNIQA, commit ceac522, utils/distortions.py. What is described here was compared with its
outputs. Its jitter, whose padding lets some draws run away, is not imitated.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from qualiclip.degrade.blur import convolve
from qualiclip.degrade.brightness import brighten
from qualiclip.degrade.color import color_diffusion, color_saturation_lab
from qualiclip.degrade.contrast import high_sharpen
from qualiclip.degrade.draw import Draw, per_image
from qualiclip.degrade.spatial import displace_patches

Operation = Callable[[Tensor, Tensor, Draw], Tensor]

SWAPPED = "Lab of the image with red and blue swapped"
DIFFERENCES = {  # type -> how the operation differs
    "lens_blur": "a disk whose rim has other, partly negative weights (at radius 8 its deviation is 3.17 px, not 4.01)",
    "color_diffusion": SWAPPED,
    "color_saturation_lab": SWAPPED,
    "brighten": SWAPPED,
    "high_sharpen": SWAPPED,
    "quantization": "black is a level of its own, and the result is stretched to the range of the image",
    "non_eccentricity_patch": "patches keep 16 px from the border, not 8",
}


def _swapped(operation: Operation) -> Operation:
    """The operation on channels in the order blue, green, red."""

    def swapped(x: Tensor, value: Tensor, draw: Draw) -> Tensor:
        return operation(x.flip(1), value, draw).flip(1)

    return swapped


def disk_kernel(radius: float) -> Tensor:
    """(k, k) weights of ARNIQA's disk, k = 2 ceil(radius) + 1.

    MATLAB's fspecial integrates the circle over each pixel of the rim, in the octant where the distances (far, near)
    to the two axes are ordered. ARNIQA integrates from zero in place of the point where the circle enters the pixel,
    and to where it leaves the row of `near` in place of the column of `far`.
    """
    r = math.ceil(radius)
    axis = torch.arange(-r, r + 1, dtype=torch.float64).abs()
    far, near = torch.maximum(axis[:, None], axis), torch.minimum(axis[:, None], axis)

    def outside(f: Tensor, n: Tensor) -> Tensor:
        return f.square() + n.square() > radius**2

    # the limits of the integral along the near axis
    start = torch.where(outside(far + 0.5, near - 0.5), near - 0.5, 0.0)
    leaves = (radius**2 - (near - 0.5).square()).clamp_min(0).sqrt()
    end = torch.where(outside(far - 0.5, near + 0.5), leaves, near + 0.5)
    a, b = ((v / radius).clamp(-1, 1).asin() for v in (start, end))
    area = radius**2 * ((b - a) / 2 + ((2 * b).sin() - (2 * a).sin()) / 4)
    area = area - (far - 0.5) * (end - start) + (start - near + 0.5)
    # whole weights inside, the integral on the rim
    inside = (far + 0.5).square() + (near + 0.5).square() < radius**2
    crossed = outside(far + 0.5, near + 0.5) & ((far - 0.5).square() + (near - 0.5).square() < radius**2)
    touched = (near == 0) & (far - 0.5 < radius) & (far + 0.5 >= radius)
    kernel = inside.double() + torch.where(crossed | touched, area, 0.0)
    kernel[r, r] = 1.0
    return (kernel / kernel.sum()).float()


def lens_blur(x: Tensor, radius: Tensor, draw: Draw) -> Tensor:
    """Convolution with a disk of the given radius in px."""
    kernels = [disk_kernel(r) if r > 0.5 else torch.ones(1, 1) for r in radius.tolist()]
    size = max(len(k) for k in kernels)
    padded = [torch.nn.functional.pad(k, [(size - len(k)) // 2] * 4) for k in kernels]
    return convolve(x, torch.stack(padded))


def quantization(x: Tensor, levels: Tensor, draw: Draw) -> Tensor:
    """The number of thresholds below a sample, stretched to [0, 1].

    Thresholds are 0 and, rounded down, the `levels` - 1 inner ends of equal steps of 0..255.
    """
    number = (x > 0).to(x)
    step = 255 / levels.floor()
    for k in range(1, int(levels.max())):
        threshold = torch.where(k < levels.floor(), (k * step).floor(), torch.inf)
        number += x * 255 > per_image(threshold, x)
    low, high = number.amin((1, 2, 3), keepdim=True), number.amax((1, 2, 3), keepdim=True)
    return torch.where(high > low, (number - low) / (high - low).clamp_min(1), number)


def non_eccentricity_patch(x: Tensor, count: Tensor, draw: Draw) -> Tensor:
    """`count` patches displaced, all cut at least 16 px from the border."""
    return displace_patches(x, count, draw, margin=16)


FUNCTIONS: dict[str, Operation] = {
    "lens_blur": lens_blur,
    "color_diffusion": _swapped(color_diffusion),
    "color_saturation_lab": _swapped(color_saturation_lab),
    "brighten": _swapped(brighten),
    "high_sharpen": _swapped(high_sharpen),
    "quantization": quantization,
    "non_eccentricity_patch": non_eccentricity_patch,
}
