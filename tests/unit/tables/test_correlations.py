"""Tables of correlations: statistics, marks, and notes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.formats import read_metrics, read_scores, write_csv
from qualiclip.bench.metrics.correlate import metrics_of
from qualiclip.bench.metrics.fit import fit
from qualiclip.bench.metrics.significance import compare
from qualiclip.bench.tables.correlations import build
from qualiclip.bench.tables.latex import latex
from qualiclip.bench.tables.results import Result, read_results
from qualiclip.bench.tables.table import Table
from qualiclip.bench.tables.tidy import COLUMNS, collected
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


def test_the_median_over_splits_has_its_deviation(tmp_path, mos):
    workspace = with_results(tmp_path, [(method_card("a"), noisy(mos, 0.3))], mos, dataset_card(200))
    table = build(card(metrics=["srcc"], statistic="median"), workspace)
    rows = read_metrics(workspace.paths.metrics("a", "myset")).query("metric == 'srcc' and split != 'all'")["value"]
    assert table.values["My set SRCC"][0] == pytest.approx(rows.median())
    tidy = table.results.set_index(["metric", "statistic"])
    assert tidy.loc[("srcc", "median"), "sd"] == pytest.approx(rows.std())
    assert "median over the test parts" in " ".join(table.notes)
    assert "My set 40, 10 distinct parts" in " ".join(table.notes)


def test_a_median_over_splits_of_unconfirmed_order_says_so(tmp_path, mos):
    files = {"train": "a", "val": "b", "test": "c", "order": "labels", "reach": 0.011}
    cards = dataset_card(200, splits={"use": "files", "files": files})
    workspace = with_results(tmp_path, [(method_card("a"), noisy(mos, 0.3))], mos, cards)
    note = "My set: the row order of its split files is not confirmed; a median may move by 0.011."
    assert note in build(card(statistic="median"), workspace).notes
    assert note not in build(card(statistic="whole"), workspace).notes


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
    scored += [(method_card("weak", **learner), noisy(mos, 0.5, 4)), (method_card("poor", **learner), noisy(mos, 2, 5))]
    scored += [(method_card("seen", trained_on=["myset"]), noisy(mos, 0.4, 3)), (method_card("unseen"), mos)]
    workspace = with_results(tmp_path, scored, mos, dataset_card(200))
    table = build(card(statistic="median", training_sets="only", metrics=["srcc", "plcc_logistic"]), workspace)
    rows = {m: i for i, m in enumerate(table.values["Method"])}
    assert set(rows) == {"PROBE", "TWIN", "WEAK", "POOR", "SEEN"}
    for metric in ("SRCC", "PLCC"):
        marks = {m: table.marks.get((i, f"My set {metric}")) for m, i in rows.items()}
        assert marks == {"PROBE": "best", "TWIN": "best", "WEAK": "second", "POOR": None, "SEEN": None}
        assert "†" in table.text(rows["SEEN"], f"My set {metric}")
        assert "†" not in table.text(rows["PROBE"], f"My set {metric}")
    notes = " ".join(table.notes)
    assert "tested on its test part (median over the parts): POOR, PROBE, TWIN, WEAK." in notes
    assert "failed on" not in notes and "SEEN on My set" in notes and "PROBE on My set" not in notes
    assert build(card(training_sets="exclude"), workspace).values["Method"].tolist() == ["UNSEEN"]
    # they have no value of the whole set, whatever is asked for
    whole = build(card(metrics=["srcc"]), workspace)
    part_values = table.values.set_index("Method")["My set SRCC"], whole.values.set_index("Method")["My set SRCC"]
    assert part_values[0]["PROBE"] == part_values[1]["PROBE"]


def test_the_curve_of_a_method_with_a_model_per_split_is_that_of_a_part(tmp_path, mos):
    probe, scores = method_card("probe", module="x.py:X", features_of="encoder", family="supervised"), noisy(mos, 0.05)
    workspace = with_results(tmp_path, [(probe, scores)], mos, dataset_card(200))
    (result,) = read_results(workspace.paths, [(probe, workspace.all_datasets["myset"])])
    test = pd.read_csv(workspace.paths.index("myset"))["split_03"].to_numpy() == "test"
    assert result.curve("split_03")(0.5) == pytest.approx(fit(scores[test], mos[test])(0.5))
    assert result.curve() is None


def test_a_control_that_reads_the_labels_does_not_compete(tmp_path, mos):
    oracle = method_card("oracle", family="control", module="x.py:X", reads_labels=True)
    scored = [(oracle, mos), (method_card("sharp", family="control"), noisy(mos, 0.01))]
    scored += [(method_card("honest"), noisy(mos, 0.3)), (method_card("poor"), noisy(mos, 2, 2))]
    table = build(card(metrics=["srcc"]), with_results(tmp_path, scored, mos, dataset_card(200)))
    assert marks_of(table)["HONEST"] == "best" and not {"ORACLE", "SHARP"} & set(marks_of(table))
    reasons = table.results.query("metric == 'srcc'").set_index("method")["reason"]
    assert reasons["oracle"] == "reads the labels; control, does not compete" and reasons["honest"] == ""


def test_nothing_that_may_be_zero_is_marked(tmp_path, mos):
    scored = [(method_card("a"), -noisy(mos, 0.01)), (method_card("b"), -noisy(mos, 1.5, 2))]
    scored += [(method_card("c"), -noisy(mos, 0.3, 3)), (method_card("d"), -noisy(mos, 0.5, 3))]
    table = build(card(metrics=["srcc"]), with_results(tmp_path, scored, mos, dataset_card(200)))
    assert not table.marks
    assert "No marks for My set (SRCC): no method is significantly above zero." in table.notes


def test_where_more_than_half_tie_a_sentence_stands_in_place_of_marks(tmp_path, mos):
    scored = [(method_card(f"m{i}"), noisy(mos, 0.3, i)) for i in range(3)] + [(method_card("x"), noisy(mos, 9, 9))]
    table = build(card(), with_results(tmp_path, scored, mos, dataset_card(200)))
    assert not table.marks
    assert "No marks for My set (SRCC, PLCC): n = 200 does not separate the methods." in table.notes


def test_one_model_is_tested_on_the_whole_set_whatever_is_printed(tmp_path, mos):
    """On any part of 40 images the two are alike (p > 0.2); on all 200 they are not."""
    scored = [(method_card("a"), noisy(mos, 0.2, 1)), (method_card("b"), noisy(mos, 0.32, 2))]
    scored.append((method_card("c"), noisy(mos, 3, 3)))
    workspace = with_results(tmp_path, scored, mos, dataset_card(200))
    for statistic in ("whole", "median"):
        assert marks_of(build(card(metrics=["srcc"], statistic=statistic), workspace)) == {"A": "best", "B": "second"}
    index = pd.read_csv(workspace.paths.index("myset"))
    inside = (index["split_00"] == "test").to_numpy()
    pair = np.stack([scored[0][1], scored[1][1]])
    assert compare(pair[:, inside], mos[inside], True).p(0, 1) > 0.05


def test_images_of_few_references_are_judged_as_a_whole(tmp_path, mos):
    """Five photos: no test parts, limits and marks by photo, and the note counts them."""
    workspace = with_results(tmp_path, [(method_card("a"), noisy(mos, 0.3))], mos, dataset_card(200))
    path = workspace.paths.index("myset")
    write_csv(pd.read_csv(path).assign(ref=np.arange(200) % 5), path)
    correlate(workspace, workspace.all_methods["a"], workspace.all_datasets["myset"])
    table = build(card(metrics=["srcc"], statistic="median"), workspace)
    notes = " ".join(table.notes)
    assert "My set: whole set; test parts need 10 groups of images, it has 5." in notes
    assert "My set 200 in 5 groups" in notes
    row = table.results.query("metric == 'srcc'").iloc[0]
    assert row["statistic"] == "whole" and row["groups"] == 5 and row["low"] < row["value"] < row["high"]


def test_the_tidy_file_has_one_line_per_metric_and_statistic(tmp_path, mos):
    gone = "weights are gone"
    scored = [(method_card("a"), noisy(mos, 0.3)), (method_card("b"), gone), (method_card("c"), noisy(mos, 9, 9))]
    table = build(card(statistic="median"), with_results(tmp_path, scored, mos, dataset_card(200)))
    assert list(table.results) == COLUMNS and not table.results.duplicated(COLUMNS[:4]).any()
    (tmp_path / "t.csv").write_text(table.csv())
    read = collected([tmp_path / "t.csv"])
    assert list(read) == ["table", *COLUMNS] and set(read["table"]) == {"t"}
    one = read[read["method"] == "a"].set_index(["metric", "statistic"])
    assert {("plcc", "whole"), ("srcc", "median"), ("krcc", "whole")} <= set(one.index), "the raw PLCC is always there"
    whole, median = one.loc[("srcc", "whole")], one.loc[("srcc", "median")]
    assert whole["low"] < whole["value"] < whole["high"] and np.isnan(median["low"]), "limits belong to their value"
    assert (whole["n"], median["n"]) == (200, 40) and whole["mark"] == "" and median["mark"] == "best"
    assert set(read.loc[read["method"] == "b", "reason"]) == {f"not run: {gone}"}
    raw = read.query("method == 'c' and metric == 'plcc_logistic' and statistic == 'median'")["reason"].item()
    assert "no rising curve beats a constant" in raw


def test_a_metric_that_sees_the_reference_does_not_compete(tmp_path, mos):
    scored = [(method_card("lpips", family="full-reference"), mos), (method_card("honest"), noisy(mos, 0.3))]
    scored.append((method_card("poor"), noisy(mos, 2, 2)))
    workspace = with_results(tmp_path, scored, mos, dataset_card(200, labels={"ref": "ref"}))
    table = build(card(metrics=["srcc"], rows={"names": ["lpips", "honest", "poor"]}), workspace)
    assert table.values["Method"].tolist() == ["HONEST", "POOR", "LPIPS"]
    assert marks_of(table)["HONEST"] == "best" and "LPIPS" not in marks_of(table)


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
