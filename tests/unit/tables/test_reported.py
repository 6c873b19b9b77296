"""Reproduced beside reported values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.formats import read_metrics
from qualiclip.bench.tables import reported
from qualiclip.bench.tables.correlations import build
from qualiclip.bench.tables.results import read_results
from qualiclip.bench.workspace import Workspace
from qualiclip.config import TrainConfig
from tests.support.cards import dataset_card, method_card, table_card
from tests.support.results import EVERYTHING, noisy, with_results


def card(**keys):
    """A table of all methods on the set, beside the file of published values."""
    return table_card(**EVERYTHING | {"reported": ["some"]} | keys)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Writes a file of published values: method, dataset, metric, value, statistic, protocol, confidence, source."""
    monkeypatch.setattr(reported, "REPORTED", tmp_path)
    reported.read.cache_clear()

    def write(*rows: tuple) -> None:
        pd.DataFrame(rows, columns=reported.COLUMNS).to_csv(tmp_path / "some.csv", index=False)

    yield write
    reported.read.cache_clear()


def block_of(workspace: Workspace, **keys) -> pd.DataFrame:
    """The block of reproduced and reported values."""
    return build(card(**keys), workspace).blocks[0].values


def test_statuses(tmp_path, mos, publish):
    scored = [(method_card("a", aliases=["A-Method"]), noisy(mos, 0.3)), (method_card("b"), "gone")]
    workspace = with_results(tmp_path, [*scored, (method_card("c"), noisy(mos, 1))], mos, dataset_card(200))
    metrics = read_metrics(workspace.paths.metrics("a", "myset"))
    value = metrics.query("split == 'all'").set_index("metric")["value"]
    row = ("whole", "p", "high", "s")
    publish(
        ("a method", "my-set", "srcc", value["srcc"] + 0.0019, *row),
        ("A-METHOD", "MYSET", "plcc", value["plcc"] + 0.0021, *row),
        ("a method", "My set", "plcc_logistic", 0.9, "other", "another size", "low", "s"),
        ("b", "My set", "srcc", 0.5, *row),
    )
    metrics = {"metrics": ["srcc", "plcc", "plcc_logistic"]}
    block = block_of(workspace, remarks={"a/myset": "known"}, **metrics).set_index(["Method", "Metric"])
    assert block["Status"].to_dict() == {
        ("A", "SRCC"): "match", ("A", "PLCC (raw)"): "off", ("A", "PLCC"): "other protocol", ("B", "SRCC"): "not run"
    }  # fmt: skip
    assert block.loc[("A", "PLCC (raw)"), "Remark"] == "known" and block.loc[("B", "SRCC"), "Remark"] == "gone"
    notes = " ".join(build(card(), workspace).notes)
    assert "1 no reference" in notes and "1 match" in notes


def test_a_reference_is_compared_over_its_own_statistic(tmp_path, mos, publish):
    workspace = with_results(tmp_path, [(method_card("a"), noisy(mos, 0.3))], mos, dataset_card(200))
    rows = read_metrics(workspace.paths.metrics("a", "myset")).query("metric == 'srcc' and split != 'all'")["value"]
    publish(("a", "My set", "srcc", rows.median(), "median", "p", "high", "s"))
    row = block_of(workspace, statistic="whole").iloc[0]
    assert row["Over"] == "median" and row["Status"] == "match"


def test_an_incomplete_set_is_another_protocol(tmp_path, mos, publish):
    publish(("a", "My set", "srcc", 1.0, "whole", "p", "high", "s"))
    row = block_of(with_results(tmp_path, [(method_card("a"), mos)], mos, dataset_card(201))).iloc[0]
    assert (row["Status"], row["Remark"]) == ("other protocol", "200 of 201 images")


def test_a_model_trained_otherwise_is_another_protocol(tmp_path, mos, publish):
    publish(("a", "My set", "srcc", 1.0, "whole", "p", "high", "s"))
    scored = [(method_card("a", variant="short"), mos)]
    row = block_of(with_results(tmp_path, scored, mos, dataset_card(200))).iloc[0]
    assert row["Status"] == "other protocol" and "epochs, steps" in row["Remark"]


def test_weights_as_they_came_have_no_other_schedule(publish):
    publish(("a", "My set", "srcc", 1.0, "whole", "p", "high", "s"))
    theirs = reported.references(["some"], method_card("a"), dataset_card(), "srcc").iloc[0]
    untrained = TrainConfig(epochs=None, steps=0, norm_batches=0)
    assert reported.status(1.0, theirs, method_card("a"), "", untrained) == ("match", "")
    small = reported.status(1.0, theirs, method_card("a"), "", untrained.model_copy(update={"encoder": "rn-mini"}))
    assert small == ("other protocol", "trained with other encoder")
    statistics = reported.status(1.0, theirs, method_card("a"), "", untrained.model_copy(update={"norm_batches": 9}))
    assert statistics == ("other protocol", "trained with other norm_batches")


def test_the_first_file_has_precedence(tmp_path, publish):
    row = ("a", "My set", "srcc", 1.0, "whole", "p", "high", "s")
    publish(row)
    values = pd.DataFrame([(*row[:3], 0.5, *row[4:]), (*row[:3], 0.7, "median", *row[5:])], columns=reported.COLUMNS)
    values.to_csv(tmp_path / "other.csv", index=False)
    rows = reported.references(["some", "other"], method_card("a"), dataset_card(), "srcc")
    assert rows.set_index("statistic")["value"].to_dict() == {"whole": 1.0, "median": 0.7}


def test_tolerances():
    assert reported.tolerance(method_card("a")) == 0.002
    assert reported.tolerance(method_card("a", variant="v")) == 0.015
    assert reported.tolerance(method_card("a", variant="v"), deviation=0.02) == 0.04
    assert reported.tolerance(method_card("a", module="m.py:M")) == 0.01


def test_seeds_of_one_training_widen_the_tolerance(tmp_path, mos):
    dataset = dataset_card(200)
    scored = [(method_card(f"a{i}", variant=f"seed{i}"), noisy(mos, 0.3, i)) for i in range(4)]
    workspace = with_results(tmp_path, scored, mos, dataset)
    results = read_results(workspace.paths, [(m, dataset) for m, _ in scored])
    deviation = reported._deviation(results[0], results, "srcc", "whole", workspace)
    assert deviation == pytest.approx(np.std([r.value("srcc", "whole") for r in results], ddof=1))


def test_files_of_published_values_are_valid(at_root):
    files = sorted(p.stem for p in reported.REPORTED.glob("*.csv"))
    assert files and all(len(reported.read(f)) for f in files)


def test_an_invalid_file_is_refused(tmp_path, publish):
    (tmp_path / "some.csv").write_text("method,value\nx,1\n")
    with pytest.raises(CardError, match="columns must be"):
        reported.read("some")
    with pytest.raises(CardError, match="nowhere"):
        reported.read("nowhere")
