"""The rising logistic, against other fits and random starts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.stats import spearmanr

from qualiclip.bench.metrics.correlate import measures
from qualiclip.bench.metrics.fit import fit, logistic
from qualiclip.bench.metrics.simulate import best_of_random_starts, made_up


def rmse(curve, score: np.ndarray, mos: np.ndarray) -> float:
    return float(np.sqrt(np.square(curve(score) - mos).mean()))


@pytest.mark.parametrize("seed", range(12))
def test_no_random_start_finds_a_better_curve(seed):
    """The same with 500 cases and 40 starts: `python -m qualiclip.bench.metrics.simulate fits`."""
    rng = np.random.default_rng(seed)
    score, mos = made_up(rng, n=100 + 40 * seed, r=0.1 + 0.06 * seed, kind=seed)
    curve = fit(score, mos)
    assert curve is None or rmse(curve, score, mos) <= 1.001 * best_of_random_starts(rng, score, mos, starts=8)


def test_it_is_not_worse_than_the_fit_of_pyiqa():
    from pyiqa.metrics.correlation_coefficient import calculate_rmse

    rng = np.random.default_rng(0)
    for _ in range(30):  # a weak relation: many minima, where one start is not enough
        score = rng.random(80)
        mos = 0.6 * score + rng.random(80)
        try:
            theirs = calculate_rmse(score, mos, "logistic_4params", eps=0)
        except RuntimeError:
            continue
        assert rmse(fit(score, mos), score, mos) <= theirs * (1 + 1e-5)


def test_it_recovers_a_logistic():
    x = np.linspace(-3, 5, 300)
    curve = fit(x, logistic(x, 90, 10, 1, 0.7))
    assert vars(curve) == pytest.approx({"top": 90, "bottom": 10, "middle": 1, "width": 0.7}, abs=1e-4)


def test_many_scores_are_fitted_as_well_as_few():
    """The starts come from bins of scores, the curve from all of them."""
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, 5000)
    mos = logistic(x, 80, 20, 0.5, 0.4) + rng.normal(0, 5, 5000)
    p, _ = curve_fit(logistic, x, mos, p0=[80, 20, 0.5, 0.4])
    assert rmse(fit(x, mos), x, mos) == pytest.approx(rmse(lambda s: logistic(s, *p), x, mos), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_it_does_not_depend_on_the_scale_of_scores_and_labels(scale):
    rng = np.random.default_rng(1)
    score, mos = made_up(rng, n=200, r=0.6, kind=0)
    a, b = fit(score, mos), fit(scale * score + 7 * scale, scale * mos)
    assert np.corrcoef(a(score), mos)[0, 1] == pytest.approx(
        np.corrcoef(b(scale * score + 7 * scale), mos)[0, 1], abs=1e-7
    )


def test_a_step_and_an_outlier_are_found():
    rng = np.random.default_rng(2)
    x = np.sort(rng.normal(0, 1, 80))
    step = (x > x[60]) * 10.0 + rng.normal(0, 0.1, 80)
    assert np.corrcoef(fit(x, step)(x), step)[0, 1] > 0.99
    x[-1], step[-1] = 1e4, 11.0
    assert np.corrcoef(fit(x, step)(x), step)[0, 1] > 0.99


def test_a_falling_relation_and_none_have_no_curve():
    x = np.linspace(0, 1, 50)
    assert fit(x, np.exp(-3 * x)) is None
    rng = np.random.default_rng(0)
    none = [fit(rng.random(60), rng.random(60)) is None for _ in range(40)]
    assert sum(none) >= 34


def test_a_fitted_plcc_has_never_the_other_sign_than_srcc():
    """Falling relations with an outlier that a step could rise to."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        score = rng.standard_normal(60)
        mos = -0.4 * score + rng.standard_normal(60)
        mos[score.argmin()] = -8
        values, curve = measures(score, mos)
        assert curve is None or spearmanr(score, mos).statistic > 0
        assert curve is not None or values["plcc_logistic"] == values["plcc"]
