"""Ridge probes: one linear model per split."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from qualiclip.bench.cards.base import load_function
from qualiclip.bench.methods.contract import Part, Split
from tests.support.cards import BASELINES


def split(n: int = 60, n_val: int = 20, seed: int = 0) -> Split:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n + n_val, 40)).astype(np.float32)
    y = x[:, :5].sum(1) + 3 * rng.standard_normal(n + n_val)
    return Split(Part(x[:n], y[:n]), Part(x[n:], y[n:]))


def test_ridge_by_hand():
    """Standardised features, the closed form, and the alpha whose predictions rank the validation part best."""
    s, found = split(), load_function("probe.py:RidgeProbe", BASELINES)()
    found.fit([s], "cpu")
    x, y = s.train.features.astype(float), s.train.mos
    mean, scale = x.mean(0), x.std(0)
    z = (x - mean) / scale
    predicted, srcc = {}, {}
    for alpha in np.logspace(-1, 5, 13):
        w = np.linalg.solve(z.T @ z + alpha * np.eye(40), z.T @ (y - y.mean()))
        predicted[alpha] = (s.val.features - mean) / scale @ w + y.mean()
        srcc[alpha] = spearmanr(predicted[alpha], s.val.mos).statistic
    best = max(srcc, key=srcc.__getitem__)
    assert 0.1 < best < 1e5, "the test would not see a wrong choice"
    assert found.learned()["alpha"][0] == pytest.approx(best)
    assert found.predict(0, s.val.features) == pytest.approx(predicted[best], abs=1e-8)


def test_ridge_without_a_validation_part_asks_the_train_part():
    s = split(n_val=0)
    found = load_function("probe.py:RidgeProbe", BASELINES)()
    found.fit([s], "cpu")
    x = s.train.features.astype(float)
    theirs = RidgeCV(np.logspace(-1, 5, 13)).fit((x - x.mean(0)) / x.std(0), s.train.mos)
    assert found.learned()["alpha"][0] == theirs.alpha_
