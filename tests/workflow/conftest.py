"""Finished runs of tiny trees, shared by the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.support.warm_python import started

KEPT = {  # cards of the smaller tree
    "baselines": ("laplacian", "piqe", "qualiclip"),
    "workflow/tables": ("zero_shot_authentic",),
    "workflow/figures": ("overview",),
}


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What of the environment lets jobs begin without seconds of imports."""
    with started(tmp_path_factory.mktemp("python")) as programs:
        yield {"PATH": os.pathsep.join([str(programs), environment()["PATH"]])}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, quick: dict[str, str]) -> Path:
    """A tree in which `all` has run."""
    from tests.workflow.test_dag import copy_tree

    return run_all(copy_tree(tmp_path_factory.mktemp("dag") / "tree"), **quick)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, quick: dict[str, str]) -> Path:
    """A smaller one in which `all` has run."""
    return run_all(small_tree(tmp_path_factory.mktemp("whole") / "tree"), **quick)


def small_tree(target: Path) -> Path:
    """A tree of three methods, one labelled set, one table, one figure."""
    from tests.workflow.test_dag import copy_tree, edit

    copy_tree(target)
    for folder, names in KEPT.items():
        for card in (target / folder).glob("*.yaml"):
            if card.stem not in names:
                card.unlink()
    edit(target / "workflow/config/mini.yaml", {"datasets": ["mini_authentic"], "train": {"checkpoint_every": 2}})
    return target


def run_all(tree: Path, **environment: str) -> Path:
    from tests.workflow.test_dag import said, snakemake

    done = snakemake(tree, "all", **environment)
    assert done.returncode == 0, said(done)
    return tree
