"""The parts of the rehearsal that take seconds: its archives and cards, and what it says in the end."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench import provenance
from qualiclip.bench.cards.base import DATASETS, METHODS, read_card, read_cards, read_yaml
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard, PrecomputedScores
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.data import fetch, index
from qualiclip.bench.formats import unscored, write_csv
from qualiclip.bench.score import precomputed
from qualiclip.bench.workspace import Workspace
from qualiclip.io import write_text
from tests.rehearsal import __main__ as rehearsal
from tests.support.cards import dataset_card, figure_card, method_card, table_card
from tests.support.commands import ROOT
from tests.support.fake_releases import RELEASES, N
from tests.support.results import EVERYTHING, with_results


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The copy of the tree and the mirror, without weights."""
    root = tmp_path_factory.mktemp("rehearsal")
    with chdir(ROOT):
        rehearsal.prepare(Workspace(load_config({"scale": "paper"})), root / "tree", root / "mirror", root / "labels")
    return root


@pytest.mark.parametrize("name", sorted(RELEASES))
def test_an_archive_of_the_mirror_becomes_an_index(prepared, name):
    real = read_card(DatasetCard, ROOT / DATASETS / f"{name}.yaml")
    card = read_card(DatasetCard, prepared / f"tree/datasets/{name}.yaml")
    here = {f.filename: f.sha256 for f in card.files}
    assert all(here[f.filename] for f in real.files if f.sha256 and f.filename in here), "what was pinned stays so"
    assert card.labels == real.labels and card.images.root == real.images.root
    fetch.fetch(card, prepared / "raw", prepared / "mirror")
    table = index.build(card, prepared / "raw" / name)
    assert len(table) == N
    assert (table[["width", "height"]] == rehearsal.SIZE).all(axis=None)
    if real.labels:
        assert table["mos"].nunique() > 5
        columns = [c for c in table if c.startswith("split_")]
        assert columns and (table[columns] == "test").any().all()
    for method in read_cards(MethodCard, ROOT / METHODS).values():
        if isinstance(method.scores, PrecomputedScores) and name in method.scores.files:
            scores = precomputed.build(method, name, table, prepared / "mirror", None)
            assert scores["score"].nunique() > 5 and not scores["error"].any()


def test_the_config_is_the_papers_but_for_sizes(prepared):
    real, ours, sizes = (
        read_yaml(p)
        for p in (ROOT / "workflow/config/paper.yaml", prepared / "tree/workflow/config/paper.yaml", rehearsal.SIZES)
    )
    sizes = sizes["config"]
    assert {k: v for k, v in ours.items() if k not in sizes} == {k: v for k, v in real.items() if k not in sizes}
    with chdir(prepared / "tree"):
        small = Workspace(load_config({"scale": "paper"}))
        assert {small.config.variant(v).total_steps(N) for v in small.variants()} == {0, 1}
        assert "numbers mean nothing" in small.config.banner
    with chdir(ROOT):
        whole = Workspace(load_config({"scale": "paper", "ablation_seeds": sizes["ablation_seeds"]}))
    assert small.variants() == whole.variants() and whole.config.banner is None
    assert [m.name for m in small.methods()] == [m.name for m in whole.methods()]


# What it says in the end.


def test_methods_without_any_score_are_reported_with_the_reason(tmp_path):
    mos = np.arange(20.0) / 20
    scored = [(method_card("a"), mos), (method_card("b"), "its weights are gone")]
    workspace = with_results(tmp_path, scored, mos, dataset_card(20))
    workspace.all_tables = {"t": table_card(**EVERYTHING)}
    assert rehearsal.not_run(workspace) == {"B": "its weights are gone"}
    index = pd.read_csv(workspace.paths.index("myset"))
    failed = unscored(index, np.full(20, "too dark"))
    write_csv(failed, workspace.paths.scores("a", "myset"))
    assert rehearsal.not_run(workspace) == {"A": "too dark", "B": "its weights are gone"}


def test_outputs_that_are_missing_or_without_the_banner_are_reported(tmp_path):
    workspace = with_results(tmp_path, [], np.arange(20.0), dataset_card(20))
    workspace.all_tables = {"t": table_card(), "u": table_card(name="u")}
    workspace.all_figures = {"f": figure_card("gmad", title="left out", methods=["nobody"])}
    write_text(workspace.paths.table("t"), "a table")
    write_text(workspace.paths.report, "numbers mean nothing")
    assert rehearsal.faults(workspace) == [
        f"{workspace.paths.table('u')} is missing",
        "figure not drawn: left out (this run has no method nobody)",
        f"{workspace.paths.table('t')} does not say that its numbers mean nothing",
    ]
    write_text(workspace.paths.table("t"), "numbers mean nothing")
    write_text(workspace.paths.table("u"), "numbers mean nothing")
    workspace.config = workspace.config.model_copy(update={"methods": ["a"]})  # a selection leaves figures out
    assert rehearsal.faults(workspace) == []


def test_the_cost_of_jobs_comes_from_their_records(tmp_path):
    workspace = with_results(tmp_path, [], np.arange(20.0), dataset_card(20))
    for name, seconds, memory in (("a", 2.0, 100), ("b", 3.0, 80)):
        out = workspace.paths.scores(name, "myset")
        out.parent.mkdir(parents=True)
        provenance.record(out, cpu_seconds=seconds, peak_memory_mb=memory)
    provenance.record(workspace.paths.index("myset"), scale="paper")
    cost = rehearsal.cost_of_jobs(workspace)
    assert cost.to_dict("index") == {"scores": {"jobs": 2, "seconds": 5.0, "memory": 100}}
