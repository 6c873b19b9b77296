"""Patches, the NIQE-type distance between sets of features, and the methods that are built on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from qualiclip.bench.cards.base import load_function
from qualiclip.bench.methods import niqe_distance
from qualiclip.bench.methods.load import create
from tests.support.cards import BASELINES, baseline
from tests.support.photos import batch_of, write_photos


@pytest.fixture
def files(photos, tmp_path) -> list[Path]:
    """The photos as files."""
    return write_photos(photos, tmp_path)


# Patches and distances.


def test_patches_are_those_of_a_loop():
    x = torch.rand(3, 200, 150)
    patches = niqe_distance.cut(x, 96, 48)
    loop = [x[:, i : i + 96, j : j + 96] for i in range(0, 105, 48) for j in range(0, 55, 48)]
    assert torch.equal(patches, torch.stack(loop))
    assert niqe_distance.cut(torch.rand(3, 64, 80), 96, 48).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("n", [1, 3, 30], ids=lambda n: f"{n} patches of 5 features")
def test_the_distance_is_the_formula(n):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(n, 5)), rng.normal(1, 2, size=(40, 5))
    d, spread = a.mean(0) - b.mean(0), np.cov(a.T) if n > 1 else np.zeros((5, 5))
    by_hand = np.sqrt(d @ np.linalg.inv((spread + np.cov(b.T)) / 2 + 1e-3 * np.eye(5)) @ d)
    pristine = niqe_distance.Pristine(*niqe_distance.gaussian(torch.from_numpy(b)))
    assert pristine.distance(torch.from_numpy(a)).item() == pytest.approx(by_hand, rel=1e-10)
    assert pristine.distance(torch.from_numpy(b)) == 0


def test_the_sharpest_patches_are_chosen():
    flat, noisy = torch.full((1, 3, 32, 32), 0.5), torch.rand(1, 3, 32, 32)
    assert niqe_distance.sharpest(torch.cat([flat, noisy, 0.5 + 0.1 * (noisy - 0.5)])).tolist() == [False, True, False]


# NIQE fitted here, and the distance over features.


def test_niqe_fit_has_niqes_features_and_distance(photos, files, tmp_path):
    from pyiqa.archs.niqe_arch import calculate_niqe

    fitted = tmp_path / "model"
    method = create(baseline("niqe-fit"), fitted=fitted)
    method.fit(files, fitted, "cpu")
    method.load("cpu")
    scores = method.score(batch_of(photos[:3]))
    model = np.load(fitted)
    assert model["mean"].shape == (36,) and 0 < model["blocks"] <= 4 * len(files)
    mean, covariance = (torch.from_numpy(model[k]) for k in ("mean", "covariance"))
    theirs = calculate_niqe(photos[:3], mu_pris_param=mean, cov_pris_param=covariance)
    assert torch.equal(scores, theirs)
    noisy = (photos[:3] + 0.1 * torch.randn(photos[:3].shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    assert (method.score(batch_of(noisy)) > scores).all()
    with pytest.raises(ValueError, match="smaller than one block"):
        method.score(batch_of(photos[:1, :, :90]))


def test_niqe_features_are_those_that_pyiqas_niqe_uses(photos):
    """A Gaussian made of the image's own features is at distance zero from it."""
    from pyiqa.archs.niqe_arch import calculate_niqe

    features = load_function("niqe.py:features", BASELINES)(photos[:1])[0]
    score = calculate_niqe(photos[:1], mu_pris_param=features.mean(0), cov_pris_param=torch.eye(36).double())
    assert features.shape == (4, 36) and score.item() == pytest.approx(0, abs=1e-9)


def test_mvg_over_any_encoder(photos, files, tmp_path):
    class Colours(load_function("mvg.py:Mvg", BASELINES)):
        def load_encoder(self, device):
            self.encode = lambda x: torch.cat([x.mean((2, 3)), x.std((2, 3))], 1)

    method = Colours(fitted=tmp_path / "model")
    method.fit(files, tmp_path / "model", "cpu")
    method.load("cpu")
    scores = method.score(batch_of(torch.cat([photos[:2], photos[:2] / 8])))
    assert scores.shape == (4,) and (scores[2:] > scores[:2]).all()
