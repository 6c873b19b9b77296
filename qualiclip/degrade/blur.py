"""Blur: Gaussian, out-of-focus lens, motion. All act per image, with replicated borders."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from qualiclip.degrade.draw import Draw


def gaussian_matrix(sigma: Tensor, n: int, radius: int | None = None) -> Tensor:
    """(B,) sigmas -> (B, n, n): Gaussian blur of n samples with replicated borders, as a matrix.

    A blur along one axis is linear, so both axes of a whole batch are two matrix products: exact at
    the borders, any sigma per image, and fast on every device. Weights are Gaussian densities at
    integer distances, cut at `radius` px (4 sigma if None) and normalised; sigma 0 is the identity.
    """
    radius = radius or max(1, math.ceil(4 * float(sigma.max())))
    offsets = torch.arange(-radius, radius + 1, device=sigma.device)
    s = sigma.clamp(min=1e-3)[:, None]
    taps = torch.exp(-0.5 * (offsets / s) ** 2)
    taps = taps / taps.sum(1, keepdim=True)
    rows = torch.arange(n, device=sigma.device)
    columns = (rows[:, None] + offsets).clamp(0, n - 1)
    return taps.new_zeros(len(sigma), n, n).scatter_add_(
        2, columns.expand(len(sigma), -1, -1), taps[:, None, :].expand(-1, n, -1)
    )


def blur(x: Tensor, sigma: Tensor, radius: int | None = None) -> Tensor:
    """Gaussian blur of (B, C, H, W) with one sigma (px) per image, cut at `radius` px."""
    levels, which = sigma.unique(return_inverse=True)
    rows = gaussian_matrix(levels, x.shape[2], radius)
    columns = gaussian_matrix(levels, x.shape[3], radius)
    out = torch.empty_like(x)
    for i in range(len(levels)):  # one shared matrix per sigma keeps the products large
        members = which == i
        out[members] = rows[i] @ (x[members] @ columns[i].T)
    return out


def convolve(x: Tensor, kernels: Tensor) -> Tensor:
    """Correlate (B, C, H, W) with one odd-sized (k, k) kernel per image, through the FFT."""
    h, w = x.shape[-2:]
    r = kernels.shape[-1] // 2
    padded = F.pad(x, (r, r, r, r), mode="replicate")
    size = padded.shape[-2:]
    spectrum = torch.fft.rfft2(kernels.flip(-1, -2), s=size)[:, None]
    out = torch.fft.irfft2(torch.fft.rfft2(padded) * spectrum, s=size)
    return out[..., 2 * r : 2 * r + h, 2 * r : 2 * r + w]


def _coverage(distance: Tensor) -> Tensor:
    """Share of a pixel inside an edge at signed distance (px, positive inside), linear over one px."""
    return (distance + 0.5).clamp(0, 1)


def disk_kernels(radius: Tensor) -> Tensor:
    """(B,) radii (px) -> (B, k, k) normalised disks with anti-aliased rim."""
    r = math.ceil(float(radius.max()))
    axis = torch.arange(-r, r + 1, device=radius.device, dtype=torch.float32)
    distance = torch.hypot(axis[:, None], axis[None, :])
    kernels = _coverage(radius[:, None, None] - distance)
    return kernels / kernels.sum((1, 2), keepdim=True)


def line_kernels(length: Tensor, angle: Tensor) -> Tensor:
    """(B,) lengths (px) and angles (rad) -> (B, k, k) normalised line segments one pixel wide."""
    half = ((length - 1) / 2)[:, None, None]
    r = math.ceil(float(half.max())) + 1
    axis = torch.arange(-r, r + 1, device=length.device, dtype=torch.float32)
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    along = axis[None, None, :] * cos - axis[None, :, None] * sin
    across = axis[None, None, :] * sin + axis[None, :, None] * cos
    beyond = (along.abs() - half).clamp(min=0)
    kernels = (1 - torch.hypot(across, beyond)).clamp(min=0)
    return kernels / kernels.sum((1, 2), keepdim=True)


def gaussian_blur(x: Tensor, sigma: Tensor, draw: Draw) -> Tensor:
    return blur(x, sigma)


def lens_blur(x: Tensor, radius: Tensor, draw: Draw) -> Tensor:
    return convolve(x, disk_kernels(radius))


def motion_blur(x: Tensor, length: Tensor, draw: Draw) -> Tensor:
    return convolve(x, line_kernels(length, math.pi * draw.uniform[:, 0]))
