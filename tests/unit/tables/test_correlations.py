"""Tables of correlations: statistics, marks, and notes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.formats import read_metrics, read_scores, write_csv
from qualiclip.bench.metrics.correlate import fit, metrics_of
from qualiclip.bench.tables.correlations import build
from qualiclip.bench.tables.latex import latex
from qualiclip.bench.tables.results import Result, read_results
from qualiclip.bench.tables.table import Table
from tests.support.cards import dataset_card, method_card, table_card
from tests.support.results import EVERYTHING, correlate, noisy, with_results


def card(**keys):
    """A table of all methods on the set."""
    return table_card(**EVERYTHING | keys)


def marks_of(table: Table) -> dict[str, str]:
    """Method -> its mark in the only column."""
    return {table.values["Method"][i]: mark for (i, _), mark in table.marks.items()}


def test_best_second_and_ties(tmp_path, mos):
    good = noisy(mos, 0.05)
    scored = [(method_card("a"), good), (method_card("b"), good + noisy(mos * 0, 1e-4, 2))]
    scored += [(method_card("c"), noisy(mos, 0.4, 3)), (method_card("d"), noisy(mos, 2.0, 4))]
    table = build(card(metrics=["srcc"]), with_results(tmp_path, scored, mos, dataset_card(200)))
    assert marks_of(table) == {"A": "best", "B": "best", "C": "second"}
    assert {"My set SRCC low", "My set SRCC high"} <= set(table.csv().splitlines()[0].split(","))


def test_the_median_over_splits_has_its_deviation(tmp_path, mos):
    workspace = with_results(tmp_path, [(method_card("a"), noisy(mos, 0.3))], mos, dataset_card(200))
    table = build(card(metrics=["srcc"], statistic="median"), workspace)
    rows = read_metrics(workspace.paths.metrics("a", "myset")).query("metric == 'srcc' and split != 'all'")["value"]
    assert table.values["My set SRCC"][0] == pytest.approx(rows.median())
    assert table.extra["My set SRCC sd"][0] == pytest.approx(rows.std())
    assert "median over the ten test parts" in " ".join(table.notes) and "My set 40" in " ".join(table.notes)


def test_too_small_test_parts_fall_back_to_the_whole_set_and_say_so(tmp_path):
    mos = np.random.default_rng(0).random(30)
    workspace = with_results(tmp_path, [(method_card("a"), mos)], mos, dataset_card(30))
    table = build(card(metrics=["srcc"], statistic="median"), workspace)
    assert table.values["My set SRCC"][0] == pytest.approx(1) and "no test parts" in " ".join(table.notes)


def test_leaked_results_are_marked_and_do_not_compete(tmp_path, mos):
    scored = [(method_card("seen", trained_on=["myset"]), mos), (method_card("unseen"), noisy(mos, 0.3))]
    workspace = with_results(tmp_path, scored, mos, dataset_card(200))
    table = build(card(metrics=["srcc"]), workspace)
    row = table.values["Method"].tolist().index("SEEN")
    assert table.text(row, "My set SRCC") == "1.000†" and (row, "My set SRCC") not in table.marks
    assert any("SEEN on My set" in n for n in table.notes)
    other = build(card(training_sets="exclude"), workspace)
    assert other.values["Method"].tolist() == ["UNSEEN"]


def test_methods_with_a_model_per_split_compete_by_their_test_parts(tmp_path, mos):
    """They are marked like any other, not as leaked, and compared with others on the same test parts."""
    learner = {"module": "x.py:X", "features_of": "encoder", "family": "supervised"}
    probe, probe_scores = method_card("probe", **learner), noisy(mos, 0.05)
    scored = [(probe, probe_scores), (method_card("twin", **learner), probe_scores + 1e-4)]
    scored += [(method_card("seen", trained_on=["myset"]), noisy(mos, 0.4, 3)), (method_card("unseen"), mos)]
    workspace = with_results(tmp_path, scored, mos, dataset_card(200))
    table = build(card(statistic="median", training_sets="only", metrics=["srcc", "plcc_logistic"]), workspace)
    rows = {m: i for i, m in enumerate(table.values["Method"])}
    assert set(rows) == {"PROBE", "TWIN", "SEEN"}
    for metric in ("SRCC", "PLCC"):
        marks = {m: table.marks.get((i, f"My set {metric}")) for m, i in rows.items()}
        assert marks == {"PROBE": "best", "TWIN": "best", "SEEN": "second"}
        assert table.text(rows["SEEN"], f"My set {metric}").endswith("†")
        assert not table.text(rows["PROBE"], f"My set {metric}").endswith("†")
    notes = " ".join(table.notes)
    assert "Trained here on the train part of each split, tested on its test part: PROBE, TWIN." in notes
    assert "failed on" not in notes and "SEEN on My set" in notes and "PROBE on My set" not in notes
    assert build(card(training_sets="exclude"), workspace).values["Method"].tolist() == ["UNSEEN"]
    whole = build(card(metrics=["srcc"]), workspace)
    assert np.isnan(whole.values["My set SRCC"][whole.values["Method"].tolist().index("PROBE")])


def test_the_curve_of_a_method_with_a_model_per_split_is_that_of_a_part(tmp_path, mos):
    probe, scores = method_card("probe", module="x.py:X", features_of="encoder", family="supervised"), noisy(mos, 0.05)
    workspace = with_results(tmp_path, [(probe, scores)], mos, dataset_card(200))
    (result,) = read_results(workspace.paths, [(probe, workspace.all_datasets["myset"])])
    test = pd.read_csv(workspace.paths.index("myset"))["split_03"].to_numpy() == "test"
    assert result.curve("split_03")(0.5) == pytest.approx(fit(scores[test], mos[test])(0.5))
    assert result.curve() is None


def test_a_control_that_reads_the_labels_does_not_compete(tmp_path, mos):
    oracle = method_card("oracle", family="control", module="x.py:X", reads_labels=True)
    workspace = with_results(
        tmp_path, [(oracle, mos), (method_card("honest"), noisy(mos, 0.3))], mos, dataset_card(200)
    )
    assert marks_of(build(card(metrics=["srcc"]), workspace)) == {"HONEST": "best"}


def test_a_metric_that_sees_the_reference_does_not_compete(tmp_path, mos):
    scored = [(method_card("lpips", family="full-reference"), mos), (method_card("honest"), noisy(mos, 0.3))]
    workspace = with_results(tmp_path, scored, mos, dataset_card(200, labels={"ref": "ref"}))
    table = build(card(metrics=["srcc"], rows={"names": ["lpips", "honest"]}), workspace)
    assert table.values["Method"].tolist() == ["HONEST", "LPIPS"] and marks_of(table) == {"HONEST": "best"}


def test_what_is_missing_or_not_run_is_noted(tmp_path, mos):
    gone = "weights are gone"
    scored = [(method_card("a"), gone), (method_card("b"), noisy(mos, 0.3))]
    scored += [(method_card("c"), gone), (method_card("d"), "no GPU")]
    table = build(card(), with_results(tmp_path, scored, mos, dataset_card(250)))
    assert "200 of 250 images, 50 are missing" in " ".join(table.notes)
    assert {f"A; C on My set: not run: {gone}", "D on My set: not run: no GPU"} <= set(table.notes)
    assert table.values["My set SRCC"].tolist()[0] == "not run" and "nan" not in table.markdown()


def test_failed_images_are_counted(tmp_path, mos):
    method, scores = method_card("a"), noisy(mos, 0.3)
    scores[[3, 5]] = np.nan
    workspace = with_results(tmp_path, [(method_card("b"), mos)], mos, dataset_card(200))
    workspace.all_methods["a"] = method
    paths = workspace.paths
    index = pd.read_csv(paths.index("myset"))
    error = np.where(np.isnan(scores), "too dark", "")
    write_csv(pd.DataFrame({"image": index["image"], "score": scores, "error": error}), paths.scores("a", "myset"))
    with pytest.raises(ValueError, match="2 of 200 images have no score"):
        correlate(workspace, method, workspace.all_datasets["myset"])
    allowed = metrics_of(paths.scores("a", "myset"), paths.index("myset"), method, dataset_card(), allow_errors=True)
    write_csv(allowed, paths.metrics("a", "myset"))
    notes = build(card(metrics=["srcc"]), workspace).notes
    assert "A failed on 2 images of My set, which are left out." in notes and "My set 200/198" in " ".join(notes)


def test_a_table_without_rows_says_why(tmp_path, mos):
    workspace = with_results(tmp_path, [(method_card("a"), mos)], mos, dataset_card(200))
    table = build(card(training_sets="only", empty_note="Nobody was."), workspace)
    assert table.notes == ["Nobody was."] and "Nobody was." in table.markdown() and "tabular}" not in latex(table, "t")


def test_a_constant_score_is_a_dash(tmp_path, mos):
    table = build(card(), with_results(tmp_path, [(method_card("a"), np.ones(200))], mos, dataset_card(200)))
    assert table.text(0, "My set SRCC") == "–" and not table.marks


def test_test_parts_without_a_value_are_counted(tmp_path, mos):
    collapsed = method_card("collapsed", module="x.py:X", features_of="encoder", family="supervised")
    dataset = dataset_card(200)
    workspace = with_results(tmp_path, [(collapsed, noisy(mos, 0.3))], mos, dataset)
    file = workspace.paths.scores("collapsed", "myset")
    scores = read_scores(file)
    scores.loc[scores["split_02"].notna(), "split_02"] = 0.5
    write_csv(scores, file)
    correlate(workspace, collapsed, dataset)
    notes = build(card(metrics=["srcc"], statistic="median"), workspace).notes
    assert "COLLAPSED is undefined (constant) on 1 test parts of My set." in notes


def test_a_result_has_limits_and_scores(tmp_path, mos):
    lower = method_card("a", higher_better=False)
    workspace = with_results(tmp_path, [(lower, -noisy(mos, 0.3))], mos, dataset_card(200))
    (result,) = read_results(workspace.paths, [(lower, workspace.all_datasets["myset"])])
    assert isinstance(result, Result) and result.refused == "" and not result.leaked
    low, high = result.limits("srcc")
    assert low < result.value("srcc", "whole") < high and result.n("whole") == 200 and result.n("median") == 40
    assert result.scores(["all", "split_00"]).shape == (2, 200)
    assert np.corrcoef(result.scores(["all"])[0], mos)[0, 1] > 0.5, "turned so that higher is better"
