"""MDFS (Ni et al., IEEE TMM 2024): the distance of an image's deep feature statistics to those of pristine photos.

Written after the authors' released code. What differs is the pristine photos: theirs are 1000 of a set that is not
named there, these are the scale's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models import EfficientNet_B7_Weights
from torchvision.transforms.functional import normalize

from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.library_patches import weights_or_not_run
from qualiclip.bench.methods.niqe_distance import gaussian, photos

ENDS = (1, 2, 3, 4, 5)  # the last block of each stage of EfficientNet's `features`
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
EPSILON = 1e-12


def window(side: int, channels: int, like: Tensor) -> Tensor:
    """(channels, 1, side, side), a Gaussian of sigma side / 3 with a sum of one, for a convolution of each channel."""
    x = torch.arange(side) - side // 2
    line = torch.exp(-(x**2) / (2 * (side / 3) ** 2))
    line = (line / line.sum()).to(like)
    return (line[:, None] * line).expand(channels, 1, side, side)


def smoothed(maps: Tensor, side: int, stride: int) -> Tensor:
    """(1, C, H, W) -> the same maps averaged by `window`, without padding, at every `stride` px."""
    return F.conv2d(maps, window(side, maps.shape[1], maps), stride=stride, groups=maps.shape[1])


def pyramid(stages: list[Tensor]) -> Tensor:
    """Maps of the stages, each (1, C_k, H_k, W_k) -> all of them at the size of the last but one, (1, sum C_k, H, W).

    Each but the last is smoothed and halved from stage to stage, and interpolated where that gives another size. The
    last stage has the size of the last but one.
    """
    *shrunk, last = stages
    sizes = [stage.shape[-2:] for stage in shrunk]
    out = []
    for k, maps in enumerate(shrunk):
        for size in sizes[k + 1 :]:
            maps = smoothed(F.pad(maps, (1, 1, 1, 1), mode="reflect"), 3, 2)
            if maps.shape[-2:] != size:
                maps = F.interpolate(maps, size, mode="bilinear", align_corners=True)
        out.append(maps)
    return torch.cat([*out, last], 1)


def statistics(maps: Tensor, channels: list[int]) -> tuple[Tensor, Tensor]:
    """Maps (1, C, H, W) -> local means (P, C) and local deviations (P,), at P places.

    Both are taken in a window that grows with the map, at half its width. The means of each stage, of which `channels`
    gives the sizes, have unit length; the deviation is the mean over the channels. Raises ValueError for maps so small
    that fewer than two places are left.
    """
    side = max(3, min(maps.shape[-2:]) // 32 * 2 + 1)
    if min(maps.shape[-2:]) < side or max(maps.shape[-2:]) < side + side // 2:
        raise ValueError("the image is too small: fewer than two places for local statistics")
    mean = smoothed(maps, side, side // 2)
    variance = smoothed(maps * maps, side, side // 2) - mean * mean
    means = mean[0].flatten(1).T
    unit = [part / (part.norm(dim=1, keepdim=True) + EPSILON) for part in means.split(channels, 1)]
    return torch.cat(unit, 1), variance.clamp(min=0).sqrt().mean(1).flatten()


def distance(means: Tensor, deviations: Tensor, pristine_mean: Tensor, pristine_covariance: Tensor) -> Tensor:
    """Local means (P, C), deviations (P,) and the pristine Gaussian (C,), (C, C) -> scalar, 0 or more.

    The Mahalanobis distance of every place to the pristine mean, under the mean of both covariances; averaged with the
    weight sigmoid(z), z the deviation in standard scores, so that places with more detail count more.
    """
    _, covariance = gaussian(means)
    difference = (means - pristine_mean).T
    solved = torch.linalg.solve((covariance + pristine_covariance) / 2, difference)
    distances = (difference * solved).sum(0).abs().sqrt()
    weights = torch.sigmoid((deviations - deviations.mean()) / (deviations.std() + EPSILON))
    return (distances * weights).sum() / weights.sum()


class Mdfs:
    """Lower is better."""

    def __init__(self, fitted: Path, mirror: Path | None):
        """fitted: the file that `fit` writes, a NumPy archive of mean (544,) and covariance (544, 544).

        mirror: folder of local files used in place of the network.
        """
        self.fitted, self.mirror = fitted, mirror

    def _load_network(self, device: str) -> None:
        with weights_or_not_run(self.mirror):
            network = torchvision.models.efficientnet_b7(weights=EfficientNet_B7_Weights.IMAGENET1K_V1)
        self.use(network.features[: ENDS[-1] + 1].to(device).eval())

    def use(self, blocks: nn.Module) -> None:
        """Take these blocks of an EfficientNet as the network."""
        self.blocks = blocks

    def _statistics(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(3, H, W) in [0, 1] -> local means (P, 544) and deviations (P,)."""
        x, stages = normalize(image, MEAN, STD)[None], []
        for k, block in enumerate(self.blocks):
            x = block(x)
            if k in ENDS:
                stages.append(x)
        return statistics(pyramid(stages), [stage.shape[1] for stage in stages])

    @torch.inference_mode()
    def fit(self, files: list[Path], out: Path, device: str) -> None:
        """Write mean and covariance of the local means to `out`, a NumPy archive; of each photo, the places with more
        than its mean deviation. Raises NotRun when weights cannot be had."""
        self._load_network(device)
        rows = []
        for photo in photos(files):
            means, deviations = self._statistics(photo.to(device))
            rows.append(means[deviations > deviations.mean()].cpu())
        mean, covariance = gaussian(torch.cat(rows).double())
        with out.open("wb") as f:
            np.savez(f, mean=mean.numpy(), covariance=covariance.numpy(), places=sum(map(len, rows)))

    def load(self, device: str) -> None:
        """Get the network, and the Gaussian that was fitted. Raises NotRun when weights cannot be had."""
        self._load_network(device)
        model = np.load(self.fitted)
        self.pristine = [torch.from_numpy(model[k]).to(device) for k in ("mean", "covariance")]

    @torch.inference_mode()
    def score(self, batch: Batch) -> Tensor:
        """(B,) distances, lower is better. Raises ValueError for an image that leaves fewer than two places."""
        parts = (self._statistics(image) for image in batch.images)
        return torch.stack([distance(m.double(), d.double(), *self.pristine) for m, d in parts])
