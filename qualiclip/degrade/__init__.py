"""The 24 degradation types behind one function: `degrade(images, type_name, levels, draw)`.

It takes a batch of images and the level of each, and returns the degraded batch, on any device. Random parameters are
drawn beforehand (`Draw.sample`), so that both crops of a pair and all levels can share them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from qualiclip.degrade import arniqa
from qualiclip.degrade.blur import gaussian_blur, lens_blur, motion_blur
from qualiclip.degrade.brightness import brighten, darken, mean_shift
from qualiclip.degrade.color import color_diffusion, color_saturation_hsv, color_saturation_lab, color_shift
from qualiclip.degrade.compression import jpeg, jpeg2000
from qualiclip.degrade.contrast import high_sharpen, linear_contrast, nonlinear_contrast
from qualiclip.degrade.draw import Draw
from qualiclip.degrade.levels import GROUPS, N_LEVELS, TYPES, DegradationType
from qualiclip.degrade.noise import impulse_noise, multiplicative_noise, white_noise, white_noise_ycbcr
from qualiclip.degrade.spatial import color_block, jitter, non_eccentricity_patch, pixelate, quantization

__all__ = ["GROUPS", "MIN_SIDE", "N_LEVELS", "TYPES", "DegradationType", "Draw", "degrade", "severity"]

MIN_SIDE = 64  # px
CPU_CHUNK = 1 << 20  # pixel values, of all three channels

# (images, parameter values (B,), draw) -> degraded images, which may leave [0, 1]; the operations of KADID-10k
FUNCTIONS: dict[str, Callable[[Tensor, Tensor, Draw], Tensor]] = {
    "gaussian_blur": gaussian_blur,
    "lens_blur": lens_blur,
    "motion_blur": motion_blur,
    "color_diffusion": color_diffusion,
    "color_shift": color_shift,
    "color_saturation_hsv": color_saturation_hsv,
    "color_saturation_lab": color_saturation_lab,
    "jpeg2000": jpeg2000,
    "jpeg": jpeg,
    "white_noise": white_noise,
    "white_noise_ycbcr": white_noise_ycbcr,
    "impulse_noise": impulse_noise,
    "multiplicative_noise": multiplicative_noise,
    "brighten": brighten,
    "darken": darken,
    "mean_shift": mean_shift,
    "jitter": jitter,
    "non_eccentricity_patch": non_eccentricity_patch,
    "pixelate": pixelate,
    "quantization": quantization,
    "color_block": color_block,
    "high_sharpen": high_sharpen,
    "linear_contrast": linear_contrast,
    "nonlinear_contrast": nonlinear_contrast,
}
GENERATORS = {"kadid": FUNCTIONS, "arniqa": FUNCTIONS | arniqa.FUNCTIONS}


def severity(type_name: str, levels: Tensor) -> Tensor:
    """(B,) levels in [0, 5] -> (B,) parameter values of a degradation type, interpolated between whole levels.

    Level 0 has the neutral value. Raises KeyError for an unknown type.
    """
    t = TYPES[type_name]
    table = torch.tensor((t.neutral, *t.values), device=levels.device, dtype=torch.float32)
    below = levels.floor().long().clamp(0, N_LEVELS - 1)
    return torch.lerp(table[below], table[below + 1], levels.float() - below)


@torch.no_grad()
def degrade(images: Tensor, type_name: str, levels: Tensor, draw: Draw, generator: str = "kadid") -> Tensor:
    """Degrade all images by one type, each at a level of its own.

    images: (B, 3, H, W) float32 in [0, 1], H and W at least 64 px. type_name: a key of `TYPES`.
    levels: (B,) in [0, 5]; 0 leaves the image as it is, 1 to 5 are the levels of `TYPES`, and between them the
    parameter is interpolated. draw: the random parameters of the B images. generator: a key of `GENERATORS`.
    Returns (B, 3, H, W) float32 in [0, 1] on the same device; `images` is not changed.
    Raises KeyError for an unknown type or generator, ValueError for a wrong shape or level.
    """
    # check the arguments
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[-2:]) < MIN_SIDE:
        raise ValueError(f"expected (B, 3, H, W) of at least {MIN_SIDE} px, got {tuple(images.shape)}")
    levels = levels.cpu()  # parameters are worked out there: nothing waits for the device
    if levels.shape != images.shape[:1] or not bool(((levels >= 0) & (levels <= N_LEVELS)).all()):
        raise ValueError(f"expected {len(images)} levels in [0, {N_LEVELS}], got {levels.tolist()}")
    values = severity(type_name, levels)
    # a CPU works on a few images at a time: its temporary tensors then fit into the cache; codecs have threads instead
    chunked = images.device.type == "cpu" and TYPES[type_name].group != "compression"
    size = max(1, CPU_CHUNK // images[0].numel()) if chunked else len(images)
    out = torch.empty_like(images)
    for part in torch.arange(len(images)).split(size):
        rows = slice(int(part[0]), int(part[-1]) + 1)
        out[rows] = GENERATORS[generator][type_name](images[rows], values[rows], draw[part]).clamp_(0, 1)
    # level 0 is the image itself, bit by bit
    untouched = (levels == 0).nonzero().flatten().to(images.device, non_blocking=True)
    return out.index_copy_(0, untouched, images.index_select(0, untouched)) if len(untouched) else out
