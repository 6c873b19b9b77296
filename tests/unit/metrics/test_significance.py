"""Whether one method is better than another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from qualiclip.bench.metrics import significance


def test_meng_by_hand():
    """Eq. 1 of Meng, Rosenthal and Rubin (1992), written out step by step."""
    r1, r2, r12, n = 0.63, -0.03, -0.19, 15
    mean_square = (r1**2 + r2**2) / 2
    h = (1 - min(1, (1 - r12) / (2 * (1 - mean_square))) * mean_square) / (1 - mean_square)
    z = (np.arctanh(r1) - np.arctanh(r2)) * np.sqrt((n - 3) / (2 * (1 - r12) * h))
    assert significance.meng(r1, r2, r12, n) == pytest.approx(2 * norm.sf(z))
    assert z == pytest.approx(1.68, abs=0.01)


def test_equal_methods_do_not_differ_and_undefined_ones_are_not_compared():
    assert significance.meng(0.5, 0.5, 1.0, 100) == 1
    assert np.isnan(significance.meng(np.nan, 0.5, 0.5, 100)) and np.isnan(significance.meng(0.5, 0.5, 0.5, 3))


def test_holm_by_hand():
    adjusted = significance.holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


@pytest.mark.parametrize("ranks", [False, True])
def test_the_size_of_the_test_by_simulation(ranks):
    """Two equally good methods differ in about one of twenty data sets (4000 draws: 0.04 to 0.056)."""
    rng = np.random.default_rng(0)
    factor = np.linalg.cholesky(np.array([[1, 0.7, 0.7], [0.7, 1, 0.7], [0.7, 0.7, 1]]))
    p = [significance.pairwise(*(factor @ rng.standard_normal((3, 100))), ranks) for _ in range(600)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.08


def test_the_clearly_worse_is_told_from_the_equally_good():
    rng = np.random.default_rng(1)
    labels = rng.random(500)
    scores = {"best": labels + rng.normal(0, 0.1, 500), "worse": labels + rng.normal(0, 0.5, 500)}
    scores["twin"] = scores["best"] + rng.normal(0, 0.001, 500)
    scores["constant"] = np.ones(500)
    halves = [np.arange(500) < 250, np.arange(500) >= 250]
    for parts in ([np.ones(500, bool)], halves):
        assert significance.not_worse(scores, labels, "best", parts, ranks=True) == {"best", "twin"}
