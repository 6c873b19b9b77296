"""NIQE's distance on the patch features of an encoder: it makes an opinion-unaware score of any representation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.library_patches import weights_or_not_run
from qualiclip.bench.methods.niqe_distance import Pristine, cut, gaussian, photos, sharpest
from qualiclip.model import QualiCLIP

SIDE, STRIDE = 96, 48  # px


class Mvg:
    """Base class. A subclass defines `load_encoder`, which sets `self.encode`."""

    encode: Callable[[Tensor], Tensor]  # patches (N, 3, s, s) in [0, 1] -> features (N, D)

    def __init__(self, fitted: Path):
        """fitted: the file that `fit` writes, a NumPy archive of mean (D,) and covariance (D, D)."""
        self.fitted = fitted

    def load_encoder(self, device: str) -> None:
        """Set `self.encode`. Raises NotRun when weights cannot be had."""
        raise NotImplementedError

    @torch.inference_mode()
    def fit(self, files: list[Path], out: Path, device: str) -> None:
        """Write mean and covariance of the features of each photo's sharpest patches to `out`, a NumPy archive."""
        self.load_encoder(device)
        rows = []
        for photo in photos(files):
            patches = cut(photo.to(device), SIDE, SIDE)
            rows.append(self.encode(patches[sharpest(patches)]).double().cpu())
        mean, covariance = gaussian(torch.cat(rows))
        with out.open("wb") as f:
            np.savez(f, mean=mean.numpy(), covariance=covariance.numpy(), patches=sum(map(len, rows)))

    def load(self, device: str) -> None:
        """Get the encoder, and the Gaussian that was fitted. Raises NotRun when weights cannot be had."""
        self.load_encoder(device)
        model = np.load(self.fitted)
        self.pristine = Pristine(*(torch.from_numpy(model[k]).to(device) for k in ("mean", "covariance")))

    @torch.inference_mode()
    def score(self, batch: Batch) -> Tensor:
        """(B,) distances of each image's patches to the pristine ones; lower is better."""
        features = [self.encode(cut(image, SIDE, STRIDE)).double() for image in batch.images]
        return torch.stack([self.pristine.distance(f) for f in features])


class VariantMvg(Mvg):
    """With an encoder of this suite: trained, or as it was before training (the variant of no steps)."""

    def __init__(self, fitted: Path, checkpoint: Path):
        """checkpoint: folder of the encoder's variant."""
        super().__init__(fitted)
        self.checkpoint = checkpoint

    def load_encoder(self, device: str) -> None:
        self.encode = QualiCLIP.from_checkpoint(self.checkpoint, device).encode


class ArniqaMvg(Mvg):
    """With ARNIQA's encoder: features of a patch, joined with those of its copy at half the size."""

    def __init__(self, fitted: Path, mirror: Path | None):
        """mirror: folder of local files used in place of the network."""
        super().__init__(fitted)
        self.mirror = mirror

    def load_encoder(self, device: str) -> None:
        import pyiqa

        with weights_or_not_run(self.mirror):
            net = pyiqa.create_metric("arniqa", device=torch.device(device)).net

        def encode(patches: Tensor) -> Tensor:
            whole, half = net._preprocess(patches)
            return torch.cat([torch.nn.functional.normalize(net.encoder(x).flatten(1)) for x in (whole, half)], 1)

        self.encode = encode
