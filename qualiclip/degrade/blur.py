"""Blur: Gaussian, out-of-focus lens, motion. Each image has its own parameter; borders are replicated."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from qualiclip.degrade.draw import Draw


def gaussian_matrix(sigma: Tensor, n: int, radius: int | None = None) -> Tensor:
    """(B,) sigmas in px, on the CPU -> (B, n, n): the Gaussian blur of n samples with replicated borders, as a matrix.

    A blur along one axis is linear, so that the blur of an image is two matrix products: exact at the borders, and
    fast on every device. Weights are Gaussian densities at integer distances, cut at `radius` px (None: at twice the
    sigma, rounded up, as MATLAB's imgaussfilt and so KADID-10k and ARNIQA do) and normalised; sigma 0 is the identity.
    """
    longest = radius or max(1, math.ceil(2 * float(sigma.max())))
    offsets = torch.arange(-longest, longest + 1)
    s = sigma.clamp(min=1e-3)[:, None]
    taps = torch.exp(-0.5 * (offsets / s) ** 2)
    if radius is None:
        taps = taps * (offsets.abs() <= (2 * sigma).ceil()[:, None])
    taps = taps / taps.sum(1, keepdim=True)
    rows = torch.arange(n)
    columns = (rows[:, None] + offsets).clamp(0, n - 1)
    return taps.new_zeros(len(sigma), n, n).scatter_add_(
        2, columns.expand(len(sigma), -1, -1), taps[:, None, :].expand(-1, n, -1)
    )


def blur(x: Tensor, sigma: Tensor, radius: int | None = None) -> Tensor:
    """Gaussian blur of (B, C, H, W) with sigmas (B,) in px. radius: as in `gaussian_matrix`."""
    sigmas, index = sigma.unique(return_inverse=True)
    rows = gaussian_matrix(sigmas, x.shape[2], radius).to(x.device, non_blocking=True)
    columns = gaussian_matrix(sigmas, x.shape[3], radius).to(x.device, non_blocking=True)
    if len(sigmas) == 1:
        return rows[0] @ (x @ columns[0].T)
    out = torch.empty_like(x)
    for i in range(len(sigmas)):  # images of one sigma together: few large products are faster than many small ones
        members = (index == i).nonzero().flatten().to(x.device, non_blocking=True)
        out.index_copy_(0, members, rows[i] @ (x.index_select(0, members) @ columns[i].T))
    return out


def convolve(x: Tensor, kernels: Tensor) -> Tensor:
    """Correlate (B, C, H, W) with kernels (B, k, k) of the CPU, k odd, through the FFT; borders are replicated."""
    h, w = x.shape[-2:]
    r = kernels.shape[-1] // 2
    padded = F.pad(x, (r, r, r, r), mode="replicate")
    size = padded.shape[-2:]
    spectrum = torch.fft.rfft2(kernels.flip(-1, -2).to(x.device, non_blocking=True), s=size)[:, None]
    out = torch.fft.irfft2(torch.fft.rfft2(padded) * spectrum, s=size)
    return out[..., 2 * r : 2 * r + h, 2 * r : 2 * r + w]


def _coverage(distance: Tensor) -> Tensor:
    """Share of a pixel that lies inside an edge, from its distance to the edge in px, positive inside; linear."""
    return (distance + 0.5).clamp(0, 1)


def disk_kernels(radius: Tensor) -> Tensor:
    """(B,) radii in px -> (B, k, k) disks with an anti-aliased rim, of sum 1."""
    r = math.ceil(float(radius.max()))
    axis = torch.arange(-r, r + 1, dtype=torch.float32)
    distance = torch.hypot(axis[:, None], axis[None, :])
    kernels = _coverage(radius[:, None, None] - distance)
    return kernels / kernels.sum((1, 2), keepdim=True)


def line_kernels(length: Tensor, angle: Tensor) -> Tensor:
    """(B,) lengths in px and angles in radians -> (B, k, k) line segments one pixel wide, of sum 1."""
    half = ((length - 1) / 2)[:, None, None]
    r = math.ceil(float(half.max())) + 1
    axis = torch.arange(-r, r + 1, dtype=torch.float32)
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    along = axis[None, None, :] * cos - axis[None, :, None] * sin
    across = axis[None, None, :] * sin + axis[None, :, None] * cos
    beyond = (along.abs() - half).clamp(min=0)
    kernels = (1 - torch.hypot(across, beyond)).clamp(min=0)
    return kernels / kernels.sum((1, 2), keepdim=True)


def gaussian_blur(x: Tensor, sigma: Tensor, draw: Draw) -> Tensor:
    """Gaussian blur, sigma in px."""
    return blur(x, sigma)


def lens_blur(x: Tensor, radius: Tensor, draw: Draw) -> Tensor:
    """The mean over a disk, as a lens out of focus gives; radius in px."""
    return convolve(x, disk_kernels(radius))


def motion_blur(x: Tensor, length: Tensor, draw: Draw) -> Tensor:
    """The mean along a line of the drawn direction; length in px."""
    return convolve(x, line_kernels(length, math.pi * draw.uniform[:, 0]))
