"""Correlations of scores with labels, and their limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.formats import read_metrics, refused_scores, write_csv
from qualiclip.bench.metrics import correlate
from qualiclip.bench.metrics.fit import fit
from qualiclip.timing import correlations
from tests.support.cards import dataset_card, method_card


def values_of(score: np.ndarray, mos: np.ndarray) -> dict[str, float]:
    """All metrics by name."""
    return correlate.measures(score, mos)[0]


def random_pair(seed: int, n: int = 300, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Scores with a curved, noisy relation to the labels."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, n)
    return x, 100 / (1 + np.exp(-1.5 * x)) + rng.normal(0, 40 * noise, n)


@pytest.mark.parametrize("seed", range(5))
def test_agreement_with_scipy(seed):
    score, mos = random_pair(seed)
    score = score.round(1)  # ties
    values = values_of(score, mos)
    assert values["srcc"] == pytest.approx(spearmanr(score, mos).statistic, abs=1e-12)
    assert values["krcc"] == pytest.approx(kendalltau(score, mos).statistic, abs=1e-12)
    assert values["plcc"] == pytest.approx(pearsonr(score, mos).statistic, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_the_fit_agrees_with_that_of_pyiqa(seed):
    from pyiqa.metrics.correlation_coefficient import calculate_plcc, calculate_rmse

    score, mos = random_pair(seed, n=[20, 100, 1000][seed % 3] if seed % 3 else 200)
    values = values_of(score, mos)
    assert values["plcc_logistic"] == pytest.approx(calculate_plcc(score, mos, "logistic_4params"), abs=1e-6)
    assert values["rmse"] == pytest.approx(calculate_rmse(score, mos, "logistic_4params", eps=0), rel=1e-6)


def test_where_no_rising_curve_beats_a_constant_plcc_is_raw():
    x = np.linspace(0, 1, 50)
    mos = np.exp(-3 * x)
    values, curve = correlate.measures(x, mos)
    assert curve is None and values["fitted"] == 0 and values["plcc_logistic"] == values["plcc"]
    assert values["rmse"] == pytest.approx(np.std(mos))


def test_a_wrong_direction_has_a_negative_sign_everywhere():
    x = np.linspace(0, 1, 50)
    values = values_of(x, np.exp(-3 * x))
    assert all(values[m] < -0.9 for m in ("srcc", "krcc", "plcc", "plcc_logistic"))


@pytest.mark.parametrize("score", [np.ones(20), np.arange(9.0)], ids=["constant", "nine images"])
def test_undefined_correlations_are_empty(score):
    values = values_of(score, np.arange(float(len(score))))
    assert all(np.isnan(v) for v in values.values())


def test_constant_labels_are_empty_too():
    assert np.isnan(values_of(np.arange(20.0), np.ones(20))["srcc"])


def test_srcc_within_groups_by_hand():
    group = np.repeat(["a", "b", "c", "d"], [3, 3, 3, 2])
    score = np.array([1, 2, 3, 3, 2, 1, 5, 5, 5, 1, 2.0])  # +1, -1, undefined, too small
    mos = np.array([1.0, 2, 3] * 3 + [1, 2])
    assert correlate.group_srcc(score, mos, group) == pytest.approx(0)
    rng = np.random.default_rng(0)
    s, m, g = rng.integers(0, 5, 300), rng.random(300), np.arange(300) // 10
    by_hand = np.mean([spearmanr(s[g == k], m[g == k]).statistic for k in range(30)])
    assert correlate.group_srcc(s, m, g) == pytest.approx(by_hand, abs=1e-12)


def test_directions_and_splits():
    """Lower-is-better scores of lower-is-better labels are signed right, on the whole set and each test part."""
    score, mos = random_pair(1, n=100)
    images = pd.DataFrame({"image": [f"{i}" for i in range(100)], "mos": -mos})
    images["split_00"] = np.where(np.arange(100) < 30, "test", "train")
    images["split_official"] = np.where(np.arange(100) < 5, "test", "")
    table = pd.DataFrame({"image": images["image"], "score": -score, "error": ""})
    rows = correlate.correlations(
        table, images, method_card(higher_better=False), dataset_card(labels={"higher_better": False})
    )
    values = pd.DataFrame(rows, columns=["split", "metric", "value", "n"]).set_index(["split", "metric"])
    assert values.loc[("all", "srcc"), "value"] == pytest.approx(spearmanr(score, mos).statistic)
    assert values.loc[("split_00", "srcc"), "value"] == pytest.approx(spearmanr(score[:30], mos[:30]).statistic)
    assert values.loc[("split_00", "srcc"), "n"] == 30
    assert np.isnan(values.loc[("official", "srcc"), "value"]) and values.loc[("official", "srcc"), "n"] == 5


def test_limits_count_with_what_images_share():
    score, mos = random_pair(1, n=100)
    alone = values_of(score, mos)
    shared, _ = correlate.measures(score, mos, np.repeat(np.arange(20), 5))
    assert [shared[m] for m in ("srcc", "plcc_logistic")] == [alone[m] for m in ("srcc", "plcc_logistic")]
    assert (shared["srcc_low"], shared["srcc_high"]) != (alone["srcc_low"], alone["srcc_high"])


def test_the_curve_comes_with_the_values():
    score, mos = random_pair(0)
    values, curve = correlate.measures(score, mos)
    assert curve == fit(score, mos) and values["fitted"] == 1
    assert values["plcc_logistic"] == pytest.approx(np.corrcoef(curve(score), mos)[0, 1])
    assert correlate.measures(np.ones(20), np.arange(20.0))[1] is None


# Metrics files.


@pytest.fixture
def files(tmp_path):
    """An index with a split and groups, and the path of a score file."""
    score, mos = random_pair(1, n=60)
    index = pd.DataFrame({"image": [f"{i}.png" for i in range(60)], "mos": mos, "group": np.arange(60) // 6})
    index["split_00"] = np.where(np.arange(60) < 20, "test", "train")
    write_csv(index, tmp_path / "i.csv")
    write_csv(pd.DataFrame({"image": index["image"], "score": score, "error": ""}), tmp_path / "s.csv")
    return tmp_path / "s.csv", tmp_path / "i.csv"


def test_a_metrics_file_has_one_row_per_part_and_metric(files, tmp_path):
    table = correlate.metrics_of(*files, method_card(), dataset_card(), resamples=50)
    assert list(table) == ["split", "metric", "value", "n", "reason"] and (table["reason"] == "").all()
    assert not table.duplicated(["split", "metric"]).any() and set(table["split"]) == {"all", "split_00"}
    whole = set(table.loc[table["split"] == "all", "metric"])
    assert {"srcc", "srcc_low", "srcc_bootstrap_high", "srcc_within_group", "fit_top", "fit_width"} <= whole
    assert table.set_index(["split", "metric"]).loc[[("all", "groups"), ("split_00", "groups")], "value"].tolist() == [
        10,
        4,
    ]
    assert "fit_top" not in set(table.loc[table["split"] == "split_00", "metric"])
    write_csv(table, tmp_path / "m.csv")
    pd.testing.assert_frame_equal(read_metrics(tmp_path / "m.csv"), table, check_exact=True)


def test_the_metrics_of_a_refused_method_say_why(files):
    index = pd.read_csv(files[1])
    write_csv(refused_scores(index, "its weights are gone"), files[0])
    table = correlate.metrics_of(*files, method_card(), dataset_card())
    assert table["reason"].tolist() == ["its weights are gone"] and table["value"].isna().all()


def test_a_set_without_labels_has_no_correlations(files):
    with pytest.raises(CardError, match="a set without labels has no correlations"):
        correlate.metrics_of(*files, method_card(), dataset_card().model_copy(update={"labels": None}))


def test_the_timing_script_runs(monkeypatch, capsys):
    monkeypatch.setattr(correlations, "SIZES", {"small": 60})
    correlations.main(["--methods", "1", "--processes", "1"])
    assert "1 methods x 1 datasets x 10 splits" in capsys.readouterr().out
