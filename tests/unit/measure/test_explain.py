"""Grad-CAM and features of a model on degraded photos."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.measure import explain
from qualiclip.degrade import N_LEVELS, TYPES
from qualiclip.model import QualiCLIP


@pytest.fixture(scope="module")
def model() -> QualiCLIP:
    return QualiCLIP.create("rn-mini", None)


def test_maps_of_photos_whose_right_half_is_degraded(model, photos):
    mixed, types = explain.half_degraded(photos[:2, :, :128, :128])
    assert len(mixed) == len(types) == len(set(types)) and set(types) <= set(TYPES)
    assert torch.equal(mixed[0, ..., :64], photos[0, :, :128, :64])
    assert not torch.equal(mixed[0], photos[0, :, :128, :128])
    cams, scores = explain.grad_cam(model, mixed)
    assert cams.shape == (len(types), 4, 4) and cams.min() >= 0 and cams.max() <= 1
    assert torch.allclose(scores, model.score(mixed))


def test_an_encoder_without_an_attention_pool_has_no_maps(photos):
    with pytest.raises(CardError, match="attention pool"):
        explain.grad_cam(SimpleNamespace(encoder=torch.nn.Identity()), photos[:1])


def test_features_of_all_types_and_levels(model, photos):
    features = explain.embed(model, photos[:2, :, :64, :64])
    n = 2 * (1 + len(TYPES) * N_LEVELS)
    assert features["features"].shape == (n, 64)
    assert all(len(features[name]) == n for name in ("type", "group", "level"))
    assert (features["level"] == 0).sum() == 2 and set(features["type"]) == {"none", *TYPES}
    assert features["features"][:2] == pytest.approx(model.encode(photos[:2, :, :64, :64]).detach().numpy(), abs=1e-5)
