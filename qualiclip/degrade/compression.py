"""Compression by real codecs of Pillow: JPEG by libjpeg, JPEG 2000 by OpenJPEG.

Always on the CPU, in as many threads as torch has there: a GPU's JPEG encoder keeps the chroma at full resolution
(4:4:4), which is another degradation than the 4:2:0 of KADID-10k and ARNIQA.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from qualiclip.degrade.draw import Draw

CHROMA_420 = 2  # Pillow's name of the usual chroma subsampling


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """A pool of threads of this process: one that was made before a fork would not work after it."""
    # Pillow holds the GIL while OpenJPEG encodes, so images wait for each other there; OpenJPEG's own threads share
    # the blocks of one image. The bytes are the same.
    os.environ["OPJ_NUM_THREADS"] = str(torch.get_num_threads())
    return ThreadPoolExecutor(torch.get_num_threads())


def _through_codec(x: Tensor, options: list[dict[str, Any]]) -> Tensor:
    """(B, 3, H, W) in [0, 1], each image saved with its options of Pillow and read again."""
    pixels = (x * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def compress(i: int) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(pixels[i]).save(file, **options[i])
        with Image.open(file) as decoded:
            return np.asarray(decoded)

    out = torch.from_numpy(np.stack(list(_threads(os.getpid()).map(compress, range(len(pixels))))))
    return out.to(x.device, non_blocking=True).permute(0, 3, 1, 2).to(x.dtype) / 255


def jpeg(x: Tensor, quality: Tensor, draw: Draw) -> Tensor:
    """JPEG of the given quality, rounded to a whole number."""
    return _through_codec(
        x, [{"format": "JPEG", "quality": round(q), "subsampling": CHROMA_420} for q in quality.tolist()]
    )


def jpeg2000(x: Tensor, ratio: Tensor, draw: Draw) -> Tensor:
    """JPEG 2000 of the given compression ratio."""
    # the released generator uses 8 wavelet resolutions, which need 128 px; smaller images have fewer
    resolutions = min(8, min(x.shape[-2:]).bit_length())
    settings = {"format": "JPEG2000", "quality_mode": "rates", "num_resolutions": resolutions}
    return _through_codec(x, [{**settings, "quality_layers": [r]} for r in ratio.tolist()])
