"""NIQE with a model fitted to the pristine photos of this suite, in place of the authors' 125."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pyiqa.archs.func_util import normalize_img_with_gauss
from pyiqa.archs.niqe_arch import blockproc, calculate_niqe, compute_feature
from pyiqa.matlab_utils import imresize
from pyiqa.utils.color_util import to_y_channel
from torch import Tensor

from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.niqe_distance import cut, photos, sharpest

BLOCK = 96  # px, as in NIQE


def features(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, blocks, 36): NIQE's statistics of blocks of 96x96 px, at two scales.

    Borders that do not fill a block are left out.
    """
    grey = to_y_channel(images, 255, "yiq").round().double()
    rows, columns = (side // BLOCK for side in grey.shape[-2:])
    grey = grey[..., : rows * BLOCK, : columns * BLOCK]
    statistics = []
    for scale in (1, 2):
        block = [BLOCK // scale, BLOCK // scale]
        normalised = normalize_img_with_gauss(grey, padding="replicate")
        statistics.append(blockproc(normalised, block, fun=compute_feature))
        grey = imresize(grey / 255, scale=0.5, antialiasing=True) * 255
    return torch.cat(statistics, -1)


class NiqeFit:
    """Distance of an image's block statistics to those of sharp blocks of pristine photos; lower is better.

    Features and distance are those of pyiqa, so that this method differs from pyiqa's NIQE only in the photos.
    """

    def __init__(self, fitted: Path):
        """fitted: the file that `fit` writes, a NumPy archive of mean (36,) and covariance (36, 36)."""
        self.fitted = fitted

    def fit(self, files: list[Path], out: Path, device: str) -> None:
        """Write mean and covariance of the statistics of each photo's sharpest blocks to `out`, a NumPy archive.

        Photos smaller than one block are left out.
        """
        chosen = []
        for photo in photos(files):
            if min(photo.shape[-2:]) < BLOCK:
                continue
            blocks = photo[:, : photo.shape[1] // BLOCK * BLOCK, : photo.shape[2] // BLOCK * BLOCK]
            chosen.append(features(photo[None])[0][sharpest(cut(blocks, BLOCK, BLOCK))])
        rows = torch.cat(chosen)
        rows = rows[rows.isfinite().all(1)]
        with out.open("wb") as f:
            np.savez(f, mean=rows.mean(0).numpy(), covariance=rows.T.cov().numpy(), blocks=len(rows))

    def load(self, device: str) -> None:
        """Read the mean and covariance that `fit` has written."""
        model = np.load(self.fitted)
        self.mean, self.covariance = (torch.from_numpy(model[k]) for k in ("mean", "covariance"))

    def score(self, batch: Batch) -> Tensor:
        """(B,) distances, lower is better. Raises ValueError for images smaller than one block."""
        if min(batch.images.shape[-2:]) < BLOCK:
            raise ValueError(f"smaller than one block of {BLOCK} px")
        return calculate_niqe(batch.images, mu_pris_param=self.mean, cov_pris_param=self.covariance).flatten()
