"""A finished run to release: four methods on one set, one table, one gMAD figure."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qualiclip.bench import provenance
from qualiclip.bench.workspace import Workspace
from tests.support.cards import dataset_card, figure_card, method_card, table_card
from tests.support.results import EVERYTHING, noisy, with_results


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Workspace:
    """Made once, and copied for each test."""
    mos = np.random.default_rng(0).random(60)
    scored = [(method_card("a"), noisy(mos, 0.1)), (method_card("b", higher_better=False), -noisy(mos, 2, 2))]
    scored += [(method_card("gone"), "its weights are gone")]
    scored += [(method_card("oracle", module="x.py:X", family="control", reads_labels=True), noisy(mos, 0.2, 3))]
    root = tmp_path_factory.mktemp("run")
    workspace = with_results(root, scored, mos, dataset_card(60, labels_travel=True))
    workspace.all_tables = {"t": table_card(name="t", **EVERYTHING)}
    workspace.all_figures = {"f": figure_card("gmad", methods=["a", "b"])}
    workspace.config = workspace.config.model_copy(update={"datasets": ["myset"]})
    for m, d in workspace.scored():
        provenance.record(workspace.paths.scores(m.name, d.name), complete=True, mirrored=[])
    return workspace


@pytest.fixture
def run(finished_run, tmp_path, at_root) -> Workspace:
    """Its labels may travel; "oracle" reads them, "gone" was not run."""
    root = Path(shutil.copytree(finished_run.paths.root, tmp_path / "run"))
    workspace = copy.copy(finished_run)
    workspace.paths = replace(finished_run.paths, root=root)
    for cards in ("all_methods", "all_datasets", "all_tables", "all_figures"):
        setattr(workspace, cards, dict(getattr(finished_run, cards)))
    return workspace
