"""Figures of methods that are compared on several sets, and the sentences that say it in a minute."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, spearmanr

from qualiclip.bench.figures import critical_difference, summary
from qualiclip.bench.formats import write_csv
from qualiclip.bench.report.minute import sentences
from qualiclip.bench.tables import types as types_table
from qualiclip.bench.tables.by_type import by_type
from qualiclip.bench.tables.standing import compared_results, standing
from qualiclip.bench.tables.tidy import COLUMNS
from tests.support.cards import table_card
from tests.support.several_sets import several_sets
from tests.unit.figures.test_figures import drawn, words

SEEN = {"family": "supervised", "trained_on": ["set0"]}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Five methods on three sets: two good ones that tie, a poor one, one that has seen set 0, and a control."""
    noise = {"good": 0.05, "twin": 0.05, "poor": 2.0, "seen": 0.2, "random": 9.0, "gone": "no weights"}
    facts = {"seen": SEEN, "random": {"family": "control"}}
    return several_sets(tmp_path_factory.mktemp("sets"), noise, 3, **facts)


def test_the_standing_is_of_what_competes_on_every_set(workspace):
    ranked = standing(compared_results(workspace), workspace)
    names = [m.name for m in ranked.methods]
    assert names == ["good", "poor", "twin"] and ranked.srcc.shape == (3, 3)
    poor = names.index("poor")
    assert ranked.ranks[poor].tolist() == [3, 3, 3] and ranked.ranks.sum() == 3 * (1 + 2 + 3)
    # both good ones beat the poor one on each set, and tie
    assert ranked.wins[:, :, poor].sum() == 6 and ranked.wins.sum() == 6
    assert ranked.places.tolist() == [[1, 2], [3, 3], [1, 2]]


def test_summary(workspace):
    drawing = drawn("summary", workspace)
    data = drawing.data.set_index(["method", "dataset"])
    assert len(data) == 5 * 3 and "gone" not in data.index and "1 methods were not run." in drawing.notes[-1]
    one = pd.read_csv(workspace.paths.metrics("good", "set1")).query("split == 'all'").set_index("metric")["value"]
    assert data.loc[("good", "set1"), ["srcc", "low", "high"]].tolist() == pytest.approx(
        one[["srcc", "srcc_low", "srcc_high"]].tolist()
    )
    assert data["seen"].sum() == 1 and data.loc[("seen", "set0"), "seen"]
    assert data.loc["poor", "mean_rank"].tolist() == [3, 3, 3] and data.loc["random", "mean_rank"].isna().all()
    texts = [t.get_text() for t in words(drawing.figure)]
    order = ["Opinion-unaware methods", "GOOD", "POOR", "Supervised methods", "SEEN", "Controls", "RANDOM"]
    ticks = drawing.figure.axes[0].get_yticks()
    heights = dict(zip([t.get_text() for t in drawing.figure.axes[0].get_yticklabels()], ticks, strict=True))
    assert sorted(order, key=heights.__getitem__) == order and texts.count("mean rank") == 1


def test_of_too_many_methods_the_weakest_of_the_largest_family_are_left_out():
    means = {"u0": 0.5, "u1": 0.9, "u2": 0.1, "s0": 0.2}
    families = {"u": "opinion-unaware", "s": "supervised"}
    data = pd.DataFrame([(m, families[m[0]], v) for m, v in means.items()], columns=["method", "family", "srcc"])
    assert summary._order(data, 9) == ["u1", "u0", "u2", "s0"] and summary._order(data, 3) == ["u1", "u0", "s0"]


def test_two_sentences_say_who_is_best_and_how_far_to_trust_it(workspace):
    ranked = standing(compared_results(workspace), workspace)
    best, trust = sentences(ranked, pd.DataFrame(columns=COLUMNS))
    leader = max(("good", "twin"), key=lambda m: ranked.srcc[[x.name for x in ranked.methods].index(m)].mean())
    other = {"good": "TWIN", "twin": "GOOD"}[leader]
    assert best.startswith(f"{leader.upper()} is the best of 3 opinion-unaware methods") and "on 3 of 3 sets" in best
    assert best.endswith(f"The same holds of {other} on 3.")
    assert trust.startswith("The labels of all sets are human opinions; no published value")
    rows = [("match", "a"), ("range", "b"), ("off", "c"), ("other protocol", "d"), ("match", "a")]
    tidy = pd.DataFrame([{"status": s, "method": m} for s, m in rows], columns=COLUMNS)
    assert "2 of 3 published values under the same protocol are reproduced" in sentences(ranked, tidy)[1]
    made = ranked.datasets[0].model_copy(
        update={"labels": ranked.datasets[0].labels.model_copy(update={"origin": "synthetic severity"})}
    )
    ranked.datasets[:] = [made] * 3
    assert "All labels are synthetic" in sentences(ranked, tidy)[1]


def test_published_values_stand_beside_ours(workspace):
    with pytest.raises(FileNotFoundError):
        drawn("reported", workspace)
    facts = {"metric": "srcc", "statistic": "whole", "source": "https://a.org/x https://b.org"}
    rows = [{"method": "good", "dataset": "set0", "value": 0.9, "reported_low": 0.9, "status": "match"}]
    rows += [{"method": "twin", "dataset": "set0", "value": 0.8, "reported_low": 0.9, "status": "off"}]
    rows += [{"method": "poor", "dataset": "set0", "value": 0.1, "reported_low": 0.9, "status": "other protocol"}]
    made = [r | facts | {"reported_high": 0.9, "tolerance": np.nan if "other" in r["status"] else 0.01} for r in rows]
    table = pd.DataFrame(made, columns=["table", *COLUMNS])
    write_csv(table, workspace.paths.results)
    drawing = drawn("reported", workspace)
    assert drawing.data["method"].tolist() == ["twin", "good", "poor"], "what is off comes first"
    assert "1 off, 1 match, 1 other protocol" in drawing.notes[0] and drawing.notes[-1] == "[2] https://b.org"
    links = {t.get_url() for t in words(drawing.figure)} - {None}
    assert links == {"https://a.org/x"}
    write_csv(table.head(0), workspace.paths.results)
    drawing = drawn("reported", workspace)
    assert "No SRCC is published" in drawing.data["not_drawn"][0]


def test_srcc_within_types(tmp_path):
    """Each value is that of scipy over the images of one type; types stand in the order of their groups."""
    noise = {"good": 0.05, "random": 9.0, "gone": "no weights"}
    workspace = several_sets(tmp_path, noise, 1, types=["odd", "jpeg", "lens_blur"], random={"family": "control"})
    file = workspace.paths.degradations("set0").with_suffix(".csv")
    measured = [("lens_blur", "blur"), ("jpeg", "compression")]
    write_csv(pd.DataFrame(measured, columns=["type", "group"]), file)
    data = by_type(workspace)
    assert data["type"].tolist() == ["lens_blur", "jpeg", "odd"] * 2 and data["n"].tolist() == [20] * 6
    assert data["group"].tolist()[:3] == ["blur", "compression", "other"] and "gone" not in set(data["method"])
    index, scores = (pd.read_csv(p) for p in (workspace.paths.index("set0"), workspace.paths.scores("good", "set0")))
    of = index["type"] == "jpeg"
    ours = data.set_index(["method", "type"]).loc[("good", "jpeg")]
    assert ours["srcc"] == pytest.approx(spearmanr(scores["score"][of], index["mos"][of]).statistic)
    assert ours["low"] < ours["srcc"] < ours["high"]
    # the heat map and the table
    drawing = drawn("types", workspace)
    assert len(drawing.data) == 6 and drawing.figure.axes[0].get_yticklabels()[0].get_text() == "lens blur"
    table = types_table.build(table_card(kind="types", rows=None, columns=None), workspace)
    assert table.values["Method"].tolist() == ["GOOD", "RANDOM"], "controls come last"
    assert table.values["Set 0 not above 0"].tolist()[0] == "0 of 3" and len(table.results) == 6
    write_csv(index.drop(columns="type"), workspace.paths.index("set0"))
    plain = workspace.all_datasets["set0"].labels.model_copy(update={"type": None})
    workspace.all_datasets = {"set0": workspace.all_datasets["set0"].model_copy(update={"labels": plain})}
    assert "No set of this run states the type" in drawn("types", workspace).data["not_drawn"][0]


def test_who_beats_whom(workspace):
    """Each of both good methods beats the poor one on each set; no other pair differs."""
    data = drawn("wins", workspace).data
    assert len(data) == 3 * 3 * 2 and set(data["dataset"]) == {"set0", "set1", "set2"}
    better = data[data["better"] == 1]
    assert set(zip(better["row"], better["than"], strict=True)) == {("good", "poor"), ("twin", "poor")}
    assert len(better) == 6 and (data["better"] == -1).sum() == 6


def test_one_method_beats_nobody(tmp_path):
    workspace = several_sets(tmp_path, {"good": 0.05, "random": 9.0}, 1, random={"family": "control"})
    assert "Fewer than two methods" in drawn("wins", workspace).data["not_drawn"][0]


def test_critical_difference():
    """Demsar's example: four classifiers on 14 sets differ by 1.25 (JMLR 2006, section 3.2.2: q 2.569)."""
    assert critical_difference.critical_difference(4, 14) == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=1e-3)


def test_mean_ranks_over_five_sets(tmp_path):
    noise = {"good": 0.05, "middle": 0.4, "poor": 2.0}
    drawing = drawn("critical_difference", several_sets(tmp_path, noise, 6))
    data = drawing.data.set_index("method")
    assert list(data.index) == ["good", "middle", "poor"] and data["mean_rank"].tolist() == [1, 2, 3]
    # q of three methods is 2.343 (Demsar, table 5a); Friedman's statistic of perfect agreement is N (k - 1) = 12
    apart = 2.343 * np.sqrt(3 * 4 / (6 * 6))
    assert (data["high"] - data["low"]).tolist() == pytest.approx([apart] * 3, abs=1e-3)
    assert data["like_the_best"].tolist() == [True, True, False]
    assert f"p = {chi2.sf(12, 2):.2g}." in drawing.notes[-1]


def test_mean_ranks_over_too_few_sets(workspace):
    assert "needs 5 sets and 3 methods" in drawn("critical_difference", workspace).data["not_drawn"][0]
