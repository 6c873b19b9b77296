"""Compression by real codecs: JPEG by libjpeg or nvJPEG (torchvision), JPEG 2000 by OpenJPEG (Pillow)."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from qualiclip.degrade.draw import Draw


def _to_bytes(x: Tensor) -> Tensor:
    """Float in [0, 1] -> uint8."""
    return (x * 255).round().clamp(0, 255).to(torch.uint8)


def jpeg(x: Tensor, quality: Tensor, draw: Draw) -> Tensor:
    """JPEG of the given quality, rounded to a whole number."""
    pixels = _to_bytes(x).contiguous()
    out = torch.empty_like(pixels)
    for q in quality.round().unique():
        members = (quality.round() == q).nonzero().flatten()
        files = encode_jpeg(list(pixels[members].unbind()), quality=int(q))
        decoded = decode_jpeg([f.cpu() for f in files], mode=ImageReadMode.RGB, device=x.device)
        out[members] = torch.stack(decoded)
    return out.to(x.dtype) / 255


def jpeg2000(x: Tensor, ratio: Tensor, draw: Draw) -> Tensor:
    """JPEG 2000 of the given compression ratio."""
    # the released generator uses 8 wavelet resolutions, which need 128 px; smaller images have fewer
    resolutions = min(8, min(x.shape[-2:]).bit_length())
    pixels = _to_bytes(x).permute(0, 2, 3, 1).cpu().numpy()
    out = torch.empty_like(x)
    for i, (image, r) in enumerate(zip(pixels, ratio.tolist(), strict=True)):
        file = io.BytesIO()
        Image.fromarray(image).save(
            file, "JPEG2000", quality_mode="rates", quality_layers=[r], num_resolutions=resolutions
        )
        with Image.open(file) as decoded:
            plane = torch.frombuffer(bytearray(decoded.tobytes()), dtype=torch.uint8)
        out[i] = plane.view(*x.shape[-2:], 3).permute(2, 0, 1) / 255
    return out
