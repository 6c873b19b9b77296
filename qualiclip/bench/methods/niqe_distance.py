"""Patches of photos, and the NIQE-type distance between sets of patch features.

Mittal, Soundararajan and Bovik, IEEE SPL 2013: a Gaussian is fitted to the features of patches of pristine photos, a
second one to those of the photo to be scored, and the distance of the two is the score; lower is better.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor
from tqdm import tqdm

from qualiclip.images import UnreadableImage, open_rgb
from qualiclip.tensors import to_tensor

log = logging.getLogger(__name__)


def photos(files: list[Path]) -> Iterator[Tensor]:
    """(3, H, W) in [0, 1]: the photos that a fit reads. One that cannot be read is left out, and logged."""
    for file in tqdm(files, desc="fit", unit="photo"):
        try:
            yield to_tensor(open_rgb(file)).float() / 255
        except UnreadableImage as e:
            log.warning("left out of the fit: %s", e)


def cut(image: Tensor, side: int, stride: int) -> Tensor:
    """(3, H, W) -> patches (N, 3, s, s), row by row. s is `side`, or the image's shorter side where that is less."""
    side = min(side, *image.shape[-2:])
    patches = image.unfold(1, side, stride).unfold(2, side, stride)
    return patches.permute(1, 2, 0, 3, 4).flatten(0, 1)


def sharpness(patches: Tensor) -> Tensor:
    """(N, C, s, s) -> (N,) mean local standard deviation of the grey patch, in NIQE's 7x7 window of sigma 7/6."""
    grey = patches.mean(1, keepdim=True)
    mean, square = (gaussian_blur2d(x, (7, 7), (7 / 6, 7 / 6), "replicate") for x in (grey, grey * grey))
    return (square - mean * mean).abs().sqrt().mean((1, 2, 3))


def sharpest(patches: Tensor, share: float = 0.75) -> Tensor:
    """Mask (N,) of those patches of one photo that have at least `share` of its highest sharpness, as in NIQE."""
    values = sharpness(patches)
    return values >= share * values.max()


def gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """(N, D) -> mean (D,) and covariance (D, D); the covariance of a single patch is zero."""
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / max(len(features) - 1, 1)


class Pristine:
    """The Gaussian of the features of pristine patches; it measures the distance of other photos' patches to it."""

    def __init__(self, mean: Tensor, covariance: Tensor, ridge: float = 1e-3):
        """mean (D,), covariance (D, D): as `gaussian` returns them. ridge: added to the diagonal of a covariance."""
        self.mean = mean
        self.root = torch.linalg.cholesky(covariance / 2 + ridge * torch.eye(len(mean)).to(covariance))

    def distance(self, features: Tensor) -> Tensor:
        """Features (N, D) of one photo's patches -> scalar distance, 0 or more.

        It is sqrt((mu_a - mu_b)' inv((S_a + S_b) / 2 + ridge I) (mu_a - mu_b)) with the means mu and covariances S of
        the photo (a) and of the pristine photos (b). S_b is factored once for all photos. S_a has rank N at most, so
        that Woodbury's identity leaves a system of N unknowns in place of D: N is a few hundred patches, D is 1024 or
        4096.
        """
        mean = features.mean(0)
        half = (features - mean) / (2 * max(len(features) - 1, 1)) ** 0.5  # S_a / 2 = half' half
        white = torch.linalg.solve_triangular(self.root, torch.vstack([mean - self.mean, half]).T, upper=False)
        difference, spread = white[:, 0], white[:, 1:]
        shared = spread.T @ difference
        inner = torch.eye(len(half)).to(spread) + spread.T @ spread
        square = difference @ difference - shared @ torch.linalg.solve(inner, shared)
        return square.clamp(min=0).sqrt()
