"""Reproduced beside reported values."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.cards.base import METHODS, CardError, read_cards
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import read_metrics
from qualiclip.bench.tables import reported
from qualiclip.bench.tables.correlations import build
from qualiclip.bench.tables.reported import Comparison
from qualiclip.bench.tables.results import read_results
from qualiclip.bench.workspace import Workspace
from qualiclip.config import TrainConfig
from tests.support.cards import baseline, dataset, dataset_card, method_card, table_card
from tests.support.results import EVERYTHING, noisy, with_results

ROW = ("whole", "p", "first-hand", "source", "https://example.org/table")  # what follows the value of a published row


def card(**keys):
    """A table of all methods on the set, beside the published values."""
    return table_card(**EVERYTHING | {"reported": True} | keys)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Writes a file of published values, rows as in `reported.COLUMNS`; values are the text of the source."""
    folder = tmp_path / "reported"
    folder.mkdir()
    monkeypatch.setattr(reported, "REPORTED", folder)

    def write(*rows: tuple) -> None:
        pd.DataFrame(rows, columns=reported.COLUMNS).to_csv(folder / "some.csv", index=False)
        reported.read.cache_clear()

    yield write
    reported.read.cache_clear()


def block_of(workspace: Workspace, **keys) -> pd.DataFrame:
    """The block of reproduced and reported values."""
    return build(card(**keys), workspace).blocks[0].values


def values_of(workspace: Workspace, part: str = "split == 'all'") -> pd.Series:
    """What was measured for the method "a" on the whole set."""
    return read_metrics(workspace.paths.metrics("a", "myset")).query(part).set_index("metric")["value"]


def test_statuses(tmp_path, mos, publish):
    scored = [(method_card("a", aliases=["A-Method"]), noisy(mos, 0.3)), (method_card("b"), "gone")]
    workspace = with_results(tmp_path, [*scored, (method_card("c"), noisy(mos, 1))], mos, dataset_card(200))
    value = values_of(workspace)
    publish(
        ("a method", "my-set", "srcc", f"{value['srcc'] + 0.0019:.4f}", *ROW),
        ("A-METHOD", "MYSET", "plcc", f"{value['plcc'] + 0.0031:.4f}", *ROW),
        ("a method", "My set", "plcc_logistic", "0.9", "other", "another size", *ROW[2:]),
        ("b", "My set", "srcc", "0.5", *ROW),
    )
    block = block_of(workspace, remarks={"a/myset": "known"}).set_index(["Method", "Metric"])
    assert block["Status"].to_dict() == {
        ("A", "SRCC"): "match", ("A", "PLCC (raw)"): "off", ("A", "PLCC"): "other protocol"
    }  # fmt: skip
    assert block.loc[("A", "PLCC (raw)"), "Remark"] == "known" and block["Source"].tolist() == ["[1]"] * 3
    table = build(card(), workspace)
    assert "[1] source: https://example.org/table" in table.blocks[0].notes
    assert (
        "Beside published values: 1 match, 0 range, 1 off, 1 other protocol; 1 without a value of ours; "
        "nothing is reported for 1 of 3 pairs of method and dataset."
    ) in table.notes


@pytest.mark.parametrize(
    ("ours", "theirs", "status", "difference"),
    [
        (0.84329, "0.841", "match", "+0.002"),  # 0.00229 apart, 0.002 at the three digits of the source
        (0.84329, "0.8410", "off", "+0.0023"),
        (0.84351, "0.841", "off", "+0.003"),
        (0.2246, "0.22", "match", "0.00"),
        (-0.0004, "-0.0", "match", "0.0"),
    ],
)
def test_a_value_is_compared_at_the_digits_of_its_source(publish, ours, theirs, status, difference):
    publish(("a", "My set", "srcc", theirs, *ROW))
    c = compared(ours)
    assert c.status == status and reported._row(c, "SRCC", {})["Difference"] == difference


def compared(ours: float, m: MethodCard | None = None, dataset: DatasetCard | None = None, **result) -> Comparison:
    """A value of the method "a" beside its first reference."""
    m, dataset = m or method_card("a"), dataset or dataset_card()
    reference = reported.references(m, dataset, "srcc")[0]
    r = SimpleNamespace(
        method=m, dataset=dataset, refused="", leaked=dataset.name in m.trained_on, value=lambda *_: ours
    )
    workspace = SimpleNamespace(variant_of=lambda m: m.variant)
    return reported.compare(r, "srcc", reference, "whole", "", [], workspace, {})


def test_sources_that_disagree_are_a_range(publish):
    second = ("0.75", "whole", "p", "second-hand", "another", "https://example.org/other")
    publish(("a", "My set", "srcc", "0.725", *ROW), ("a", "My set", "srcc", *second))
    for ours, status, difference in ((0.74, "range", "0.000"), (0.7, "off", "-0.025"), (0.76, "off", "+0.010")):
        row = reported._row(compared(ours), "SRCC", sources := {})
        assert (row["Reported"], row["Status"]) == ("0.725 to 0.75", status) and row["Difference"] == difference
        assert row["Source"] == "[1], [2]" and list(sources) == ["https://example.org/table", second[-1]]
    assert reported._sources(sources)[1] == "[2] another (second-hand): https://example.org/other"
    # a source of fewer digits that could be the same value does not disagree
    publish(("a", "My set", "srcc", "0.7462", *ROW), ("a", "My set", "srcc", *second))
    assert compared(0.75).status == "match" and reported.references(method_card("a"), dataset_card(), "srcc")[0].agree


def test_first_hand_sources_come_first(publish):
    publish(
        ("a", "My set", "srcc", "0.5", "whole", "p", "second-hand", "copy", "https://example.org/copy"),
        ("a", "My set", "srcc", "0.6", "whole", "p", "by eye", "picture", "https://example.org/picture"),
        ("a", "My set", "srcc", "0.7", *ROW),
    )
    (reference,) = reported.references(method_card("a"), dataset_card(), "srcc")
    assert reference.rows["reading"].tolist() == ["first-hand", "by eye", "second-hand"]


def test_a_median_over_splits_of_unconfirmed_order_is_a_range(publish):
    files = {"train": "a", "val": "b", "test": "c", "order": "labels", "counts": (1, 1, 1), "reach": 0.011}
    dataset = dataset_card(splits={"use": "files", "files": files})
    publish(("a", "My set", "srcc", "0.725", "median", *ROW[1:]))
    near = compared(0.738, dataset=dataset)
    assert near.status == "range" and reported._row(near, "SRCC", {})["Reproduced"] == "0.738 ± 0.011"
    assert near.reason == "row order of the split files unconfirmed"
    assert compared(0.739, dataset=dataset).status == "off"
    publish(("a", "My set", "srcc", "0.725", *ROW))
    assert compared(0.726, dataset=dataset).status == "match", "the whole set does not depend on the order"


def test_a_supervised_row_is_for_methods_that_learn_from_the_set(publish):
    publish(("A (supervised)", "My set", "srcc", "0.9", "median", *ROW[1:]))
    here = {"aliases": ["A (supervised)"], "trained_on": ["myset"]}
    assert not reported.references(method_card("a", aliases=["A (supervised)"]), dataset_card(), "srcc")
    assert compared(0.9, method_card("a", **here)).reason == "its weights were not trained on these splits"


def test_other_protocols_are_listed_only_where_there_is_nothing_else(publish):
    other = ("other", "their own split", *ROW[2:])
    publish(("a", "My set", "srcc", "0.5", *other), ("a", "My set", "srcc", "0.7", *ROW))
    assert [r.statistic for r in reported.references(method_card("a"), dataset_card(), "srcc")] == ["whole"]
    publish(("a", "My set", "srcc", "0.5", *other))
    c = compared(0.5)
    assert (c.status, c.reason) == ("other protocol", "their own split")


def test_a_reference_is_compared_over_its_own_statistic(tmp_path, mos, publish):
    workspace = with_results(tmp_path, [(method_card("a"), noisy(mos, 0.3))], mos, dataset_card(200))
    median = values_of(workspace, "metric == 'srcc' and split != 'all'").median()
    publish(("a", "My set", "srcc", f"{median:.4f}", "median", *ROW[1:]))
    row = block_of(workspace, statistic="whole").iloc[0]
    assert row["Over"] == "median" and row["Status"] == "match"


def test_an_incomplete_set_is_another_protocol(tmp_path, mos, publish):
    publish(("a", "My set", "srcc", "1.0", *ROW))
    row = block_of(with_results(tmp_path, [(method_card("a"), mos)], mos, dataset_card(201))).iloc[0]
    assert (row["Status"], row["Remark"]) == ("other protocol", "200 of 201 images")


def test_a_model_trained_otherwise_is_another_protocol(tmp_path, mos, publish):
    publish(("a", "My set", "srcc", "1.0", *ROW))
    scored = [(method_card("a", variant="short"), mos)]
    row = block_of(with_results(tmp_path, scored, mos, dataset_card(200))).iloc[0]
    assert row["Status"] == "other protocol" and "epochs, steps" in row["Remark"]


def test_weights_as_they_came_have_no_other_schedule(publish):
    publish(("a", "My set", "srcc", "1.0", *ROW))
    (theirs,) = reported.references(method_card("a"), dataset_card(), "srcc")
    r = SimpleNamespace(leaked=False)
    untrained = TrainConfig(epochs=None, steps=0, norm_batches=0)
    assert reported.not_comparable(r, theirs, "", untrained) == ""
    for key, value in (("encoder", "rn-mini"), ("norm_batches", 9)):
        changed = untrained.model_copy(update={key: value})
        assert reported.not_comparable(r, theirs, "", changed) == f"trained with other {key}"


def test_tolerances():
    assert reported.tolerance(method_card("a")) == 0.002
    assert reported.tolerance(method_card("a", variant="v")) == 0.015
    assert reported.tolerance(method_card("a", variant="v"), deviation=0.02) == 0.04
    assert reported.tolerance(method_card("a", module="m.py:M")) == 0.01
    assert reported.tolerance(method_card("a", module="m.py:M", as_released=True)) == 0.002


def test_seeds_of_one_training_widen_the_tolerance(tmp_path, mos):
    dataset = dataset_card(200)
    scored = [(method_card(f"a{i}", variant=f"seed{i}"), noisy(mos, 0.3, i)) for i in range(4)]
    workspace = with_results(tmp_path, scored, mos, dataset)
    results = read_results(workspace.paths, [(m, dataset) for m, _ in scored])
    deviation = reported._deviation(results[0], results, "srcc", "whole", workspace)
    assert deviation == pytest.approx(np.std([r.value("srcc", "whole") for r in results], ddof=1))


def test_published_values_of_the_repository(at_root):
    """Every row has a source that a reader can open, none occurs twice, and every alias of a card is found."""
    table = reported.read()
    assert not table.duplicated(["method", "dataset", "metric", "statistic", "protocol", "source"]).any()
    named = {
        reported._spelling(a): f"{m.name}: {a}" for m in read_cards(MethodCard, METHODS).values() for a in m.aliases
    }
    assert not [where for spelling, where in named.items() if spelling not in set(table["method"])]


@pytest.mark.parametrize(
    ("method", "dataset_name", "text"),
    [
        ("qualiclip-hub", "spaq", "0.841"),
        ("mvg-arniqa", "koniq10k", "0.746"),
        ("arniqa", "clive", "0.684"),
        ("arniqa-clive", "koniq10k", "0.751"),
        ("arniqa-kadid", "clive", "0.546"),
        ("arniqa", "koniq10k", "0.864 to 0.869"),
        ("musiq", "clive", "0.7889"),
        ("tres", "clive", "0.7771"),
        ("nima", "clive", "0.5071"),
        ("precomputed-psnr", "kadid10k", "0.676"),
        ("precomputed-ssim", "tid2013", "0.637 to 0.720"),
    ],
)
def test_cards_answer_to_what_is_reported_of_them(at_root, method, dataset_name, text):
    assert [r.text for r in reported.references(baseline(method), dataset(dataset_name), "srcc")] == [text]


def test_an_invalid_file_is_refused(publish, tmp_path):
    file, good = tmp_path / "reported/some.csv", ("a", "My set", "srcc", "1.0", *ROW)
    for position, wrong, message in (
        (2, "SRCC", "metric 'SRCC' is none of"),
        (3, "high", "line 2: a cell is empty, no number or no address"),
        (4, "mean", "statistic 'mean' is none of whole, median, official, other"),
        (6, "high", "reading 'high' is none of first-hand"),
        (8, "a book", "line 2: a cell is empty"),
    ):
        publish(tuple(wrong if i == position else cell for i, cell in enumerate(good)))
        with pytest.raises(CardError, match=message):
            reported.read(file.parent)
    file.write_text("method,value\nx,1\n")
    with pytest.raises(CardError, match="columns must be"):
        reported.read(file.parent)
