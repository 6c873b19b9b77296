"""NIQE with a model fitted to the pristine photos at hand, in place of the authors' 125."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pyiqa.archs.func_util import normalize_img_with_gauss
from pyiqa.archs.niqe_arch import blockproc, calculate_niqe, compute_feature
from pyiqa.matlab_utils import imresize
from pyiqa.utils.color_util import to_y_channel
from torch import Tensor
from tqdm import tqdm

from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.niqe_distance import cut, sharpest
from qualiclip.images import open_rgb
from qualiclip.tensors import to_tensor

BLOCK = 96  # px, NIQE's own


def features(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, blocks, 36): NIQE's statistics of whole 96x96 blocks, at two scales."""
    grey = to_y_channel(images, 255, "yiq").round().double()
    rows, columns = (side // BLOCK for side in grey.shape[-2:])
    grey = grey[..., : rows * BLOCK, : columns * BLOCK]
    found = []
    for scale in (1, 2):
        block = [BLOCK // scale, BLOCK // scale]
        found.append(blockproc(normalize_img_with_gauss(grey, padding="replicate"), block, fun=compute_feature))
        grey = imresize(grey / 255, scale=0.5, antialiasing=True) * 255
    return torch.cat(found, -1)


class NiqeFit:
    """Distance of an image's block statistics to those of sharp blocks of pristine photos; lower is better.

    Features and distance are pyiqa's, so that the two NIQE rows differ in the photos alone.
    """

    def __init__(self, fitted: Path):
        self.fitted = fitted

    def fit(self, files: list[Path], out: Path, device: str) -> None:
        """Mean and covariance of the statistics of the sharpest blocks of each photo, as a NumPy archive."""
        chosen = []
        for file in tqdm(files, desc="fit NIQE", unit="photo"):
            photo = to_tensor(open_rgb(file)).float() / 255
            if min(photo.shape[-2:]) < BLOCK:
                continue
            blocks = photo[:, : photo.shape[1] // BLOCK * BLOCK, : photo.shape[2] // BLOCK * BLOCK]
            chosen.append(features(photo[None])[0][sharpest(cut(blocks, BLOCK, BLOCK))])
        rows = torch.cat(chosen)
        rows = rows[rows.isfinite().all(1)]
        with out.open("wb") as f:
            np.savez(f, mean=rows.mean(0).numpy(), covariance=rows.T.cov().numpy(), blocks=len(rows))

    def load(self, device: str) -> None:
        model = np.load(self.fitted)
        self.mean, self.covariance = (torch.from_numpy(model[k]) for k in ("mean", "covariance"))

    def score(self, batch: Batch) -> Tensor:
        if min(batch.images.shape[-2:]) < BLOCK:
            raise ValueError(f"smaller than one block of {BLOCK} px")
        return calculate_niqe(batch.images, mu_pris_param=self.mean, cov_pris_param=self.covariance).flatten()
