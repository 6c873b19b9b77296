"""Correlations, their limits, and which methods differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, norm, pearsonr, spearmanr

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.metrics import correlate, significance
from qualiclip.timing import correlations


def card(**changes) -> MethodCard:
    said = {"title": "m", "family": "control", "higher_better": True, "citation": "", "license": "", "rule": True}
    return MethodCard(name="m", path=Path("m.yaml"), **said | changes)


def dataset(**labels) -> DatasetCard:
    labels = {"format": "csv", "file": "x", "range": (0, 1)} | labels
    said = {"title": "d", "family": "authentic", "citation": "", "license": "", "folder": "x", "images": {"count": 1}}
    return DatasetCard(name="d", path=Path("d.yaml"), labels=labels, **said)


def random_pair(seed: int, n: int = 300, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Scores with a curved, noisy relation to the labels."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, n)
    return x, 100 / (1 + np.exp(-1.5 * x)) + rng.normal(0, 40 * noise, n)


@pytest.mark.parametrize("seed", range(5))
def test_agreement_with_scipy(seed):
    score, mos = random_pair(seed)
    score = score.round(1)  # ties
    values = correlate.measures(score, mos)
    assert values["srcc"] == pytest.approx(spearmanr(score, mos).statistic, abs=1e-12)
    assert values["krcc"] == pytest.approx(kendalltau(score, mos).statistic, abs=1e-12)
    assert values["plcc"] == pytest.approx(pearsonr(score, mos).statistic, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_the_fit_agrees_with_that_of_pyiqa(seed):
    from pyiqa.metrics.correlation_coefficient import calculate_plcc, calculate_rmse

    score, mos = random_pair(seed, n=[20, 100, 1000][seed % 3] if seed % 3 else 200)
    values = correlate.measures(score, mos)
    assert values["plcc_logistic"] == pytest.approx(calculate_plcc(score, mos, "logistic_4params"), abs=1e-6)
    assert values["rmse"] == pytest.approx(calculate_rmse(score, mos, "logistic_4params", eps=0), rel=1e-6)


def test_the_fit_is_never_worse_than_that_of_pyiqa():
    from pyiqa.metrics.correlation_coefficient import calculate_rmse

    rng = np.random.default_rng(0)
    for _ in range(30):  # no relation at all: many minima, where one start is not enough
        score, mos = rng.random(40), rng.random(40)
        try:
            theirs = calculate_rmse(score, mos, "logistic_4params", eps=0)
        except RuntimeError:
            continue
        assert correlate.measures(score, mos)["rmse"] <= theirs + 1e-9


def test_the_fit_does_not_depend_on_the_scale_of_the_scores():
    score, mos = random_pair(3)
    a, b = correlate.measures(score, mos), correlate.measures(1e-4 * score + 7, mos)
    assert a["plcc_logistic"] == pytest.approx(b["plcc_logistic"], abs=1e-9)


def test_the_logistic_fit_recovers_a_logistic():
    x = np.linspace(-3, 5, 300)
    mos = correlate.logistic(x, 90, 10, 1, 0.7)
    curve = correlate.fit(x, mos)
    assert vars(curve) == pytest.approx({"top": 90, "bottom": 10, "middle": 1, "width": 0.7}, abs=1e-5)
    values = correlate.measures(x, mos)
    assert values["plcc_logistic"] == pytest.approx(1, abs=1e-6) and values["rmse"] == pytest.approx(0, abs=1e-3)


def test_a_fit_that_does_not_converge_is_flagged_and_raw(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(correlate, "curve_fit", fails)
    score, mos = random_pair(0)
    values = correlate.measures(score, mos)
    assert values["fit_converged"] == 0 and values["plcc_logistic"] == values["plcc"]
    line = np.polyval(np.polyfit(score, mos, 1), score)
    assert values["rmse"] == pytest.approx(np.sqrt(np.mean((line - mos) ** 2)))


def test_a_wrong_direction_has_a_negative_sign_everywhere():
    x = np.linspace(0, 1, 50)
    values = correlate.measures(x, np.exp(-3 * x))
    assert all(values[m] < -0.9 for m in ("srcc", "krcc", "plcc", "plcc_logistic"))


@pytest.mark.parametrize("score", [np.ones(20), np.arange(9.0)], ids=["constant", "nine images"])
def test_undefined_correlations_are_empty(score):
    values = correlate.measures(score, np.arange(float(len(score))))
    assert all(np.isnan(v) for v in values.values())


def test_constant_labels_are_empty_too():
    assert np.isnan(correlate.measures(np.arange(20.0), np.ones(20))["srcc"])


def test_srcc_within_groups_by_hand():
    group = np.repeat(["a", "b", "c", "d"], [3, 3, 3, 2])
    score = np.array([1, 2, 3, 3, 2, 1, 5, 5, 5, 1, 2.0])  # +1, -1, undefined, too small
    mos = np.array([1.0, 2, 3] * 3 + [1, 2])
    assert correlate.group_srcc(score, mos, group) == pytest.approx(0)
    rng = np.random.default_rng(0)
    s, m, g = rng.integers(0, 5, 300), rng.random(300), np.arange(300) // 10
    by_hand = np.mean([spearmanr(s[g == k], m[g == k]).statistic for k in range(30)])
    assert correlate.group_srcc(s, m, g) == pytest.approx(by_hand, abs=1e-12)


def test_failed_rows_are_refused_unless_allowed():
    table = pd.DataFrame({"image": ["a", "b"], "score": [1.0, np.nan], "error": ["", "too dark"]})
    with pytest.raises(ValueError, match=r"1 of 2 images have no score \(b: too dark\).*allow_errors=true"):
        correlate.check(table, table[["image"]], Path("s.csv"), allow_errors=False)
    correlate.check(table, table[["image"]], Path("s.csv"), allow_errors=True)


def test_directions_and_splits():
    """Lower-is-better scores of lower-is-better labels are signed right, on the whole set and each test part."""
    score, mos = random_pair(1, n=100)
    images = pd.DataFrame({"image": [f"{i}" for i in range(100)], "mos": -mos})
    images["split_00"] = np.where(np.arange(100) < 30, "test", "train")
    images["split_official"] = np.where(np.arange(100) < 5, "test", "")
    table = pd.DataFrame({"image": images["image"], "score": -score, "error": ""})
    rows = correlate.correlations(table, images, card(higher_better=False), dataset(higher_better=False))
    found = pd.DataFrame(rows, columns=["split", "metric", "value", "n"]).set_index(["split", "metric"])
    assert found.loc[("all", "srcc"), "value"] == pytest.approx(spearmanr(score, mos).statistic)
    assert found.loc[("split_00", "srcc"), "value"] == pytest.approx(spearmanr(score[:30], mos[:30]).statistic)
    assert found.loc[("split_00", "srcc"), "n"] == 30
    assert np.isnan(found.loc[("official", "srcc"), "value"]) and found.loc[("official", "srcc"), "n"] == 5


def test_limits_by_hand():
    low, high = correlate.interval("plcc", 0.6, 103)
    assert np.arctanh([low, high]) == pytest.approx(np.arctanh(0.6) + norm.ppf(0.975) * np.array([-1, 1]) / 10)
    wider = correlate.interval("srcc", 0.6, 103)
    assert wider[0] < low and wider[1] > high
    assert correlate.interval("srcc", 1.0, 50)[1] == pytest.approx(1)


def test_the_bootstrap_is_close_to_the_closed_form_and_repeatable():
    score, mos = random_pair(2, n=400)
    closed = correlate.interval("srcc", correlate.measures(score, mos)["srcc"], 400)
    drawn = correlate.bootstrap_interval("srcc", score, mos, 500)
    assert drawn == pytest.approx(closed, abs=0.03)
    assert drawn == correlate.bootstrap_interval("srcc", score, mos, 500)


# significance


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
    found = significance.holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert found == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


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


def test_torch_is_not_needed(at_root):
    code = "import sys, qualiclip.timing.correlations, qualiclip.bench.metrics.significance; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=at_root).returncode == 0


def test_the_timing_script_runs(monkeypatch, capsys):
    monkeypatch.setattr(correlations, "SIZES", {"small": 60})
    correlations.main(["--methods", "1", "--processes", "1"])
    assert "1 methods x 1 datasets x 10 splits" in capsys.readouterr().out
