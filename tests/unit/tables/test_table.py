"""A table is printed as Markdown, LaTeX, CSV and JSON; each kind is a module."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.measure.degradations import measure
from qualiclip.bench.tables import kinds, render
from qualiclip.bench.tables.table import Table, number_text, significant_text
from qualiclip.bench.workspace import Workspace
from tests.support.cards import dataset_card, method_card, table_card
from tests.support.results import EVERYTHING, with_results


@pytest.fixture
def table() -> Table:
    """Two rows, marks, a flag and a block."""
    values = pd.DataFrame({"Method": ["a_b", "c|d"], "x SRCC": [0.12345, np.nan], "n": [3, 4]})
    marks = {(0, "x SRCC"): "best"}
    block = Table("below", "of it", pd.DataFrame({"y": ["z"]}))
    return Table("t", "50% of it", values, ["n"], marks=marks, flags={(0, "x SRCC"): "†"}, blocks=[block])


def test_printing():
    values = pd.DataFrame({"Method": ["a_b", "c|d"], "x SRCC": [0.12345, 0.5]})
    table = Table("t", "50% of it", values, ["n"], marks={(1, "x SRCC"): "best", (0, "x SRCC"): "second"})
    assert "**0.500**" in table.markdown() and "<ins>0.123</ins>" in table.markdown() and r"c\|d" in table.markdown()
    assert "0.12345" in table.csv()
    table.formats = {"x SRCC": ".1f"}
    assert "**0.5**" in table.markdown()


def test_names_in_markdown_are_not_taken_for_markup():
    printed = Table("a | <b>", "", pd.DataFrame({"x | <i>": ["c|d<br>\ne"]}), ["<urlopen error>"]).markdown()
    assert r"## a \| &lt;b>" in printed and r"| x \| &lt;i>" in printed and r"| c\|d&lt;br> e" in printed
    assert "&lt;urlopen error>" in printed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6.5612, "6.56"),
        (0.09012, "0.0901"),
        (152.38, "152"),
        (1234.5, "1230"),
        (9.996, "10.0"),
        (np.nan, "–"),
        (0.0, "0.000"),
    ],
)
def test_significant_digits(value, text):
    assert significant_text(value, 3) == text


def test_a_rounded_zero_has_no_sign():
    assert number_text(-0.0004) == "0.000" and number_text(-0.0005001) == "-0.001"


def test_the_cells_that_the_report_reads(table):
    cells = json.loads(json.dumps(table.cells(), allow_nan=False))
    assert cells["columns"] == ["Method", "x SRCC", "n"] and cells["notes"] == ["n"]
    assert cells["rows"][0] == [
        {"text": "a_b", "key": "", "mark": ""},
        {"text": "0.123†", "key": 0.12345, "mark": "best"},
        {"text": "3", "key": 3.0, "mark": ""},
    ]
    assert cells["rows"][1][1] == {"text": "–", "key": "", "mark": ""}, "undefined: a dash that is sorted as text"
    assert [b["title"] for b in cells["blocks"]] == ["below"]
    table.banner = "mini"
    assert table.cells()["notes"] == ["mini", "n"] and "**mini**" in table.markdown()


def test_a_job_writes_four_files(table, tmp_path):
    render.write(table, tmp_path / "t.md")
    assert {f.name for f in tmp_path.iterdir()} == {"t.md", "t.csv", "t.tex", "t.json"}
    assert json.loads((tmp_path / "t.json").read_text()) == table.cells()
    assert (tmp_path / "t.md").read_text() == table.markdown()


def test_every_kind_is_a_module_with_build():
    for kind in kinds.KINDS:
        rows = {"names": []}
        module = kinds.module(table_card(kind=kind, rows=rows, full_model=["x"]))
        assert module == f"qualiclip.bench.tables.{kind}" and callable(importlib.import_module(module).build)


def test_an_unknown_kind_names_the_kinds():
    with pytest.raises(CardError, match=r"t\.yaml: kind: no kind of table is called 'chart'; kinds: correlations, "):
        kinds.module(table_card(kind="chart"))
    with pytest.raises(ValueError, match="a table of correlations needs rows and columns"):
        table_card(columns=None)


def test_the_job_renders_any_kind_with_the_banner(at_root, tmp_path, photos):
    config = load_config({"results": str(tmp_path), "methods": ["piqe"]})
    workspace = Workspace(config)
    # a made-up measurement of each kind
    csv = workspace.paths.degradations(workspace.figure_set.name).with_suffix(".csv")
    csv.parent.mkdir(parents=True)
    measure(photos[:1, :, :64, :64])[0].to_csv(csv, index=False)
    cost = {"reason": "", "parameters": 0, "flops": 3e9, "seconds": 0.15238, "memory": None}
    file = workspace.paths.efficiency("piqe")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(cost | {"device": "a processor", "threads": 2}))
    tables = {name: render.render(workspace.all_tables[name], workspace) for name in ("degradations", "efficiency")}
    assert all(config.banner in t.markdown() for t in tables.values())
    changes, origin = tables["degradations"].blocks
    assert len(tables["degradations"].values) == len(changes.values) == len(origin.values) == 24
    assert "1 photos of mini held-out photos" in changes.caption
    assert changes.headers["Level 2 PSNR"] == ("Level 2", "PSNR")
    efficiency = tables["efficiency"]
    assert list(efficiency.values) == ["Method", "Family", "FLOPs (G)", "ms per image"], "without empty columns"
    assert [efficiency.text(0, c) for c in ("Method", "FLOPs (G)", "ms per image")] == ["PIQE", "3.00", "152"]
    assert "on a processor, 2 threads" in " ".join(efficiency.notes)
    file.write_text(json.dumps(cost | {"parameters": 1.3e6, "memory": 2**22, "device": "a GPU", "threads": 2}))
    row = render.render(workspace.all_tables["efficiency"], workspace).values.iloc[0]
    assert (row["Parameters (M)"], row["Memory (MiB)"]) == (1.3, 4)
    assert kinds.inputs(workspace.all_tables["efficiency"], workspace) == [file]
    assert kinds.inputs(workspace.all_tables["degradations"], workspace) == [csv]


def test_the_table_of_released_weights_says_what_could_not_be_compared(at_root, tmp_path):
    workspace = Workspace(load_config({"scale": "paper", "results": str(tmp_path)}))
    facts = {"title": "a beside b", "reason": "", "batch_norm": "frozen", "weights": {"share_moved": 0.125}}
    facts |= {"lr_times_steps_at_least": 1e-4, "batches_tracked": None, "equal_tensors": 3, "common_tensors": 4}
    facts |= {"prompts": "equal", "wording": "as here"}
    missing = {"title": "c beside d", "reason": "put it at DIR/c.pth"}
    workspace.paths.root.mkdir()
    workspace.paths.released_weights.write_text(json.dumps([facts, missing]))
    table = render.render(workspace.all_tables["released_weights"], workspace)
    assert table.values["Weights moved"].tolist() == ["12.5%", "not run"]
    assert table.values["Equal tensors"][0] == "3 of 4" and table.values["Batches counted"][0] == "not stored"
    assert "c beside d: not run: put it at DIR/c.pth" in table.notes
    card = workspace.all_tables["released_weights"]
    assert kinds.inputs(card, workspace) == [workspace.paths.released_weights]


def test_the_table_of_datasets_counts_its_index(at_root, tmp_path):
    workspace = with_results(tmp_path, [], np.arange(20.0) / 20, dataset_card(25))
    index = workspace.paths.index("myset")
    pd.read_csv(index).assign(width=4, height=3).to_csv(index, index=False)
    card = table_card(kind="datasets")
    row = render.render(card, workspace).values.iloc[0]
    assert (row["Images"], row["Missing"], row["Pixels"], row["Labels"]) == (20, 5, "4x3", "human opinions")
    assert row["Splits"] == "10 seeded: 16/0/4"
    assert kinds.inputs(table_card(kind="datasets", columns=None), workspace) == [index]


def test_the_inputs_of_a_table_are_all_that_it_reads(at_root, tmp_path):
    mos = np.random.default_rng(0).random(50)
    workspace = with_results(tmp_path, [(method_card("a"), mos)], mos, dataset_card(50))
    card, paths = table_card(**EVERYTHING, reported=True), workspace.paths
    files = {paths.index("myset"), paths.metrics("a", "myset"), paths.scores("a", "myset")}
    assert set(kinds.inputs(card, workspace)) == files | set(kinds.REPORTED.glob("*.csv"))


def test_words_of_a_table_are_in_its_digest_and_licences_are_not(at_root, tmp_path):
    mos = np.arange(20.0) / 20
    workspace = with_results(tmp_path, [(method_card("a"), mos)], mos, dataset_card(20))
    card = table_card(**EVERYTHING)
    before = kinds.words_digest(card, workspace)
    assert kinds.words_digest(card.model_copy(update={"caption": "another"}), workspace) != before
    workspace.all_methods["a"] = method_card("a", license="another")
    assert kinds.words_digest(card, workspace) == before
    workspace.all_methods["a"] = method_card("a", title="another")
    assert kinds.words_digest(card, workspace) != before
