"""Finished runs of tiny trees, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

KEPT = {  # cards of the smaller tree
    "baselines": ("laplacian", "piqe", "qualiclip"),
    "workflow/tables": ("zero_shot_authentic",),
    "workflow/figures": ("overview",),
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in which `all` has run."""
    from tests.workflow.test_dag import copy_tree

    return run_all(copy_tree(tmp_path_factory.mktemp("dag") / "tree"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smaller one in which `all` has run."""
    return run_all(small_tree(tmp_path_factory.mktemp("whole") / "tree"))


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


def run_all(tree: Path) -> Path:
    from tests.workflow.test_dag import said, snakemake

    done = snakemake(tree, "all")
    assert done.returncode == 0, said(done)
    return tree
