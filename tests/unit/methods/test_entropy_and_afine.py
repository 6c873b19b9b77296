"""The control `entropy`, and what A-FINE's naturalness term is given."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import entropy

from qualiclip.bench.cards.base import METHODS, load_function
from qualiclip.bench.methods.contract import Batch
from tests.support.commands import ROOT

Entropy = load_function("controls.py:Entropy", ROOT / METHODS)
AfineNaturalness = load_function("afine.py:AfineNaturalness", ROOT / METHODS)


def test_entropy_is_that_of_the_grey_values():
    """An even ramp of 256 values has 8 bits, a flat image none, and one of three unequal values SciPy's."""
    ramp = (torch.arange(256.0) / 255).reshape(1, 16, 16)
    flat = torch.full((1, 16, 16), 0.5)
    three = torch.tensor([0.0, 0.2, 1.0]).repeat_interleave(torch.tensor([128, 64, 64])).reshape(1, 16, 16)
    images = torch.stack([ramp, flat, three]).expand(3, 3, 16, 16)
    expected = [8, 0, entropy([0.5, 0.25, 0.25], base=2)]
    assert Entropy().score(Batch(images, [], [])).tolist() == pytest.approx(expected, abs=1e-6)


def test_afine_sees_multiples_of_32_px_and_leaves_the_batch_as_it_was():
    """The stand-in for pyiqa's metric refuses values outside [0, 1] and writes into its input, as that does."""
    seen = []

    def metric(x: torch.Tensor) -> torch.Tensor:
        assert x.min() >= 0 and x.max() <= 1
        seen.append(tuple(x.shape))
        return x.mul_(0).sum() + 1

    method = AfineNaturalness(None)
    method.model = metric
    for height, width, size in ((33, 64, (64, 64)), (64, 32, (64, 32))):
        images = torch.rand(2, 3, height, width)
        before = images.clone()
        assert method.score(Batch(images, [], [])).tolist() == [1, 1]
        assert torch.equal(images, before)
        assert seen[-2:] == [(1, 3, *size)] * 2
