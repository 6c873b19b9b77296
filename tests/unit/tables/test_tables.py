"""Tables: statistics, marks, footnotes, and reproduced beside reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.formats import read_scores
from qualiclip.bench.metrics import correlate
from qualiclip.bench.tables import correlations, render, reported
from qualiclip.bench.tables.table import Table
from qualiclip.config import TrainConfig


def method(name: str, **said) -> MethodCard:
    base = {"title": name.upper(), "family": "opinion-unaware", "higher_better": True, "citation": "", "license": ""}
    return MethodCard(
        name=name,
        path=Path(f"{name}.yaml"),
        **base | ({} if {"variant", "module"} & set(said) else {"pyiqa": name}) | said,
    )


def dataset(count: int = 200, **said) -> DatasetCard:
    base = {"title": "My set", "family": "authentic", "citation": "", "license": "", "folder": "x"}
    base["images"] = {"count": count}
    labels = {"format": "csv", "file": "x", "range": (0, 1)}
    return DatasetCard(name="myset", path=Path("myset.yaml"), labels=labels, **base | said)


class Space:
    """A workspace of one dataset and some methods, in a folder."""

    def __init__(self, root: Path, methods: list[MethodCard], d: DatasetCard):
        self.root, self.cards, self.d, self.config = root, methods, d, self
        self.banner = None

    def table_pairs(self, card):
        kept = {"all": (True, False), "trained on": (True,), "not trained on": (False,)}[card.pairs]
        return [(m, self.d) for m in self.cards if m.learns_from(self.d) in kept]

    def variant_of(self, m):
        return m.variant

    def table_datasets(self, card):
        return [self.d]

    def index(self, d):
        return self.root / "index.csv"

    def scores(self, m, d):
        return self.root / f"{m.name}.scores.csv"

    def metrics(self, m, d):
        return self.root / f"{m.name}.metrics.csv"

    def variant(self, name):
        return TrainConfig(seed=int(name[-1])) if name[-1].isdigit() else TrainConfig(epochs=None, steps=5)


def make(root: Path, methods: list[tuple[MethodCard, np.ndarray | str]], mos: np.ndarray, d: DatasetCard) -> Space:
    """Index, score and metrics files of made-up scores; a string is why a method was not run."""
    space = Space(root, [m for m, _ in methods], d)
    index = pd.DataFrame({"image": [f"{i}.png" for i in range(len(mos))], "mos": mos})
    for k in range(10):
        inside = np.random.default_rng(k).permutation(len(mos)) < len(mos) // 5
        index[f"split_{k:02d}"] = np.where(inside, "test", "train")
    index.to_csv(space.index(d), index=False)
    for m, s in methods:
        error = f"not run: {s}" if isinstance(s, str) else ""
        score = np.nan if error else s
        table = pd.DataFrame({"image": index["image"], "score": score, "error": error})
        if m.features:
            parts = index.filter(like="split_")
            table = table.assign(score=np.nan, **{c: np.where(parts[c] == "test", score, np.nan) for c in parts})
        table.to_csv(space.scores(m, d), index=False)
        correlate.metrics_of(space.scores(m, d), space.index(d), m, d).to_csv(space.metrics(m, d), index=False)
    return space


def card(**said) -> TableCard:
    base = {"title": "t", "caption": "50% of it", "rows": {"names": []}, "columns": {"names": []}}
    return TableCard(name="t", path=Path("t.yaml"), **base | said)


@pytest.fixture
def mos() -> np.ndarray:
    return np.random.default_rng(0).random(200)


def noisy(mos: np.ndarray, noise: float, seed: int = 1) -> np.ndarray:
    return mos + np.random.default_rng(seed).normal(0, noise, len(mos))


def test_best_second_and_ties(tmp_path, mos):
    good = noisy(mos, 0.05)
    scored = [(method("a"), good), (method("b"), good + noisy(mos * 0, 1e-4, 2))]
    scored += [(method("c"), noisy(mos, 0.4, 3)), (method("d"), noisy(mos, 2.0, 4))]
    table = correlations.correlations(card(metrics=["srcc"]), make(tmp_path, scored, mos, dataset()))
    marks = {table.values["Method"][i]: mark for (i, _), mark in table.marks.items()}
    assert marks == {"A": "best", "B": "best", "C": "second"}
    assert {"My set SRCC low", "My set SRCC high"} <= set(table.csv().splitlines()[0].split(","))


def test_the_median_over_splits_has_its_deviation(tmp_path, mos):
    m = method("a")
    space = make(tmp_path, [(m, noisy(mos, 0.3))], mos, dataset())
    table = correlations.correlations(card(metrics=["srcc"], statistic="median"), space)
    rows = pd.read_csv(space.metrics(m, space.d)).query("metric == 'srcc' and split != 'all'")["value"]
    assert table.values["My set SRCC"][0] == pytest.approx(rows.median())
    assert table.extra["My set SRCC sd"][0] == pytest.approx(rows.std())
    assert "median over the ten test parts" in " ".join(table.notes) and "My set 40" in " ".join(table.notes)


def test_too_small_test_parts_fall_back_to_the_whole_set_and_say_so(tmp_path):
    mos = np.random.default_rng(0).random(30)
    space = make(tmp_path, [(method("a"), mos)], mos, dataset(30))
    table = correlations.correlations(card(metrics=["srcc"], statistic="median"), space)
    assert table.values["My set SRCC"][0] == pytest.approx(1) and "no test parts" in " ".join(table.notes)


def test_leaked_results_are_marked_and_do_not_compete(tmp_path, mos):
    scored = [(method("seen", trained_on=["myset"]), mos), (method("unseen"), noisy(mos, 0.3))]
    table = correlations.correlations(card(metrics=["srcc"]), make(tmp_path, scored, mos, dataset()))
    row = table.values["Method"].tolist().index("SEEN")
    assert table.text(row, "My set SRCC") == "1.000†" and (row, "My set SRCC") not in table.marks
    assert any("SEEN on My set" in n for n in table.notes)
    other = correlations.correlations(card(pairs="not trained on"), make(tmp_path, scored, mos, dataset()))
    assert other.values["Method"].tolist() == ["UNSEEN"]


def test_methods_trained_within_splits_compete_by_their_test_parts(tmp_path, mos):
    """They are marked like any other, not as leaked, and compared with others on the same test parts."""
    within = {"module": "x.py:X", "features": "y", "family": "supervised"}
    scored = [(method("probe", **within), noisy(mos, 0.05)), (method("twin", **within), noisy(mos, 0.05) + 1e-4)]
    scored += [(method("seen", trained_on=["myset"]), noisy(mos, 0.4, 3)), (method("unseen"), mos)]
    space = make(tmp_path, scored, mos, dataset())
    said = card(statistic="median", pairs="trained on", metrics=["srcc", "plcc_logistic"])
    table = correlations.correlations(said, space)
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
    assert correlations.correlations(card(pairs="not trained on"), space).values["Method"].tolist() == ["UNSEEN"]
    found = correlations.Result(scored[0][0], space.d, pd.read_csv(space.metrics(scored[0][0], space.d)))
    test = pd.read_csv(space.index(space.d))["split_03"].to_numpy() == "test"
    assert found.curve("split_03")(0.5) == pytest.approx(correlate.fit(scored[0][1][test], mos[test])(0.5))
    whole = correlations.correlations(card(metrics=["srcc"]), space)
    assert np.isnan(whole.values["My set SRCC"][whole.values["Method"].tolist().index("PROBE")])


def test_a_control_that_reads_the_labels_does_not_compete(tmp_path, mos):
    scored = [
        (method("oracle", family="control", module="x.py:X", labels=True), mos),
        (method("honest"), noisy(mos, 0.3)),
    ]
    table = correlations.correlations(card(metrics=["srcc"]), make(tmp_path, scored, mos, dataset()))
    assert {table.values["Method"][i]: mark for (i, _), mark in table.marks.items()} == {"HONEST": "best"}


def test_what_is_missing_or_not_run_is_said(tmp_path, mos):
    gone = "weights are gone"
    scored = [(method("a"), gone), (method("b"), noisy(mos, 0.3)), (method("c"), gone), (method("d"), "no GPU")]
    table = correlations.correlations(card(), make(tmp_path, scored, mos, dataset(250)))
    assert "200 of 250 images, 50 are missing" in " ".join(table.notes)
    assert {f"A; C on My set: not run: {gone}", "D on My set: not run: no GPU"} <= set(table.notes)
    assert table.values["My set SRCC"].tolist()[0] == "not run" and "nan" not in table.markdown()


def test_a_table_without_rows_says_why(tmp_path, mos):
    table = correlations.correlations(
        card(pairs="trained on", empty="Nobody was."), make(tmp_path, [(method("a"), mos)], mos, dataset())
    )
    assert table.notes == ["Nobody was."] and "Nobody was." in table.markdown() and "tabular" not in table.latex()


def test_a_constant_score_is_a_dash(tmp_path, mos):
    table = correlations.correlations(card(), make(tmp_path, [(method("a"), np.ones(200))], mos, dataset()))
    assert table.text(0, "My set SRCC") == "–" and not table.marks


def test_test_parts_without_a_value_are_counted(tmp_path, mos):
    collapsed = method("collapsed", module="x.py:X", features="y", family="supervised")
    s = noisy(mos, 0.3)
    space = make(tmp_path, [(collapsed, s)], mos, dataset())
    scores = read_scores(space.scores(collapsed, space.d))
    scores.loc[scores["split_02"].notna(), "split_02"] = 0.5
    scores.to_csv(space.scores(collapsed, space.d), index=False)
    metrics = correlate.metrics_of(space.scores(collapsed, space.d), space.index(space.d), collapsed, space.d)
    metrics.to_csv(space.metrics(collapsed, space.d), index=False)
    notes = correlations.correlations(card(metrics=["srcc"], statistic="median"), space).notes
    assert "COLLAPSED is undefined (constant) on 1 test parts of My set." in notes


def test_labels_that_are_no_opinions_are_said():
    d = dataset().model_copy(update={"labels": dataset().labels.model_copy(update={"kind": "synthetic severity"})})
    assert render.labels_note([d]) == ["Labels of My set: synthetic severity, no human opinions."]


def test_printing():
    values = pd.DataFrame({"Method": ["a_b", "c|d"], "x SRCC": [0.12345, 0.5]})
    table = Table("t", "50% of it", values, ["n"], marks={(1, "x SRCC"): "best", (0, "x SRCC"): "second"})
    assert "**0.500**" in table.markdown() and "<ins>0.123</ins>" in table.markdown() and r"c\|d" in table.markdown()
    assert r"\textbf{0.500}" in table.latex() and r"\underline{0.123}" in table.latex()
    assert r"a\_b" in table.latex() and r"50\% of it" in table.latex() and "0.12345" in table.csv()


# reported


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file of published values, of a method answering to 'A-Method'."""
    monkeypatch.setattr(reported, "REPORTED", tmp_path)
    reported.read.cache_clear()

    def write(*rows: tuple) -> None:
        pd.DataFrame(rows, columns=reported.COLUMNS).to_csv(tmp_path / "some.csv", index=False)

    yield write
    reported.read.cache_clear()


def beside(space: Space, **said) -> pd.DataFrame:
    return correlations.correlations(card(reported=["some"], **said), space).blocks[0].values


def test_statuses(tmp_path, mos, published):
    scored = [
        (method("a", reported_as=["A-Method"]), noisy(mos, 0.3)),
        (method("b"), "gone"),
        (method("c"), noisy(mos, 1)),
    ]
    space = make(tmp_path, scored, mos, dataset())
    value = pd.read_csv(space.metrics(scored[0][0], space.d)).query("split == 'all'").set_index("metric")["value"]
    row = ("whole", "p", "high", "s")
    published(
        ("a method", "my-set", "srcc", value["srcc"] + 0.0019, *row),
        ("A-METHOD", "MYSET", "plcc", value["plcc"] + 0.0021, *row),
        ("a method", "My set", "plcc_logistic", 0.9, "other", "another size", "low", "s"),
        ("b", "My set", "srcc", 0.5, *row),
    )
    found = beside(space, remarks={"a/myset": "known"}).set_index(["Method", "Metric"])
    assert found["Status"].to_dict() == {
        ("A", "SRCC"): "match", ("A", "PLCC (raw)"): "off", ("A", "PLCC"): "other protocol", ("B", "SRCC"): "not run"
    }  # fmt: skip
    assert found.loc[("A", "PLCC (raw)"), "Remark"] == "known" and found.loc[("B", "SRCC"), "Remark"] == "gone"
    notes = " ".join(correlations.correlations(card(reported=["some"]), space).notes)
    assert "1 no reference" in notes and "1 match" in notes


def test_a_reference_is_compared_over_its_own_statistic(tmp_path, mos, published):
    m = method("a")
    space = make(tmp_path, [(m, noisy(mos, 0.3))], mos, dataset())
    rows = pd.read_csv(space.metrics(m, space.d)).query("metric == 'srcc' and split != 'all'")["value"]
    published(("a", "My set", "srcc", rows.median(), "median", "p", "high", "s"))
    found = beside(space, statistic="whole").iloc[0]
    assert found["Over"] == "median" and found["Status"] == "match"


def test_an_incomplete_set_is_another_protocol(tmp_path, mos, published):
    published(("a", "My set", "srcc", 1.0, "whole", "p", "high", "s"))
    found = beside(make(tmp_path, [(method("a"), mos)], mos, dataset(201))).iloc[0]
    assert (found["Status"], found["Remark"]) == ("other protocol", "200 of 201 images")


def test_a_model_trained_otherwise_is_another_protocol(tmp_path, mos, published):
    published(("a", "My set", "srcc", 1.0, "whole", "p", "high", "s"))
    found = beside(make(tmp_path, [(method("a", variant="short"), mos)], mos, dataset())).iloc[0]
    assert found["Status"] == "other protocol" and "epochs, steps" in found["Remark"]


def test_weights_as_they_came_have_no_other_schedule(tmp_path, mos, published):
    published(("a", "My set", "srcc", 1.0, "whole", "p", "high", "s"))
    theirs = reported.references(["some"], method("a"), dataset(), "srcc").iloc[0]
    untrained = TrainConfig(epochs=None, steps=0)
    assert reported.status(1.0, theirs, method("a"), "", untrained) == ("match", "")
    small = reported.status(1.0, theirs, method("a"), "", untrained.model_copy(update={"encoder": "rn-mini"}))
    assert small == ("other protocol", "trained with other encoder")


def test_tolerances():
    assert reported.tolerance(method("a")) == 0.002
    assert reported.tolerance(method("a", variant="v")) == 0.015
    assert reported.tolerance(method("a", variant="v"), deviation=0.02) == 0.04
    assert reported.tolerance(method("a").model_copy(update={"pyiqa": None, "module": "m.py:M"})) == 0.01


def test_seeds_of_one_training_widen_the_tolerance(tmp_path, mos, published):
    scored = [(method(f"a{i}", title=f"A{i}", variant=f"seed{i}"), noisy(mos, 0.3, i)) for i in range(4)]
    space = make(tmp_path, scored, mos, dataset())
    found = [correlations.Result(m, space.d, pd.read_csv(space.metrics(m, space.d))) for m, _ in scored]
    values = [r.value("srcc", "whole") for r in found]
    assert correlations._deviation(found[0], found, "srcc", "whole", space) == pytest.approx(np.std(values, ddof=1))


def test_files_of_published_values_are_valid(at_root):
    files = sorted(p.stem for p in reported.REPORTED.glob("*.csv"))
    assert files and all(len(reported.read(f)) for f in files)


def test_an_invalid_file_is_refused(tmp_path, published):
    (tmp_path / "some.csv").write_text("method,value\nx,1\n")
    with pytest.raises(CardError, match="columns must be"):
        reported.read("some")
    with pytest.raises(CardError, match="nowhere"):
        reported.read("nowhere")
