"""Conversion between images and tensors, and the choice of a device."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_tensor(image: Image.Image) -> Tensor:
    """8-bit RGB image -> (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def to_image(x: Tensor) -> Image.Image:
    """(3, H, W) float -> 8-bit RGB image. Values are clipped to [0, 1]."""
    return Image.fromarray((x.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())


def pick_device(device: str) -> str:
    """The device to use: for "auto" it is "cuda" where there is a GPU, else "cpu"; any other is returned as it is."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def has_bfloat16(device: str) -> bool:
    """Whether the hardware of "cpu" or "cuda" computes in bfloat16; emulated, it is slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))
