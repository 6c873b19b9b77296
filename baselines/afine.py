"""The naturalness term of A-FINE (Chen et al., CVPR 2025), which needs no reference, through pyiqa."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.load import PyiqaMethod

PATCH = 32  # px, of its ViT-B/32


class AfineNaturalness(PyiqaMethod):
    """In [-2, 2], lower is better. pyiqa takes sides that are multiples of 32 px alone, and writes into its input."""

    def __init__(self, mirror: Path | None):
        """mirror: folder of local files used in place of the network."""
        super().__init__("afine_nr", mirror)

    def score(self, batch: Batch) -> Tensor:
        """(B,) scores. Sides are enlarged to the next multiple of 32 px, bicubic, as in the authors' code.

        Bicubic overshoots at edges, and pyiqa refuses values outside [0, 1].
        """
        size = [-(-side // PATCH) * PATCH for side in batch.images.shape[-2:]]
        images = F.interpolate(batch.images, size, mode="bicubic", align_corners=False).clamp(0, 1)
        return torch.cat([self.model(image.clone()).flatten() for image in images.split(1)])
