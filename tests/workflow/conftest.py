"""One finished run of a tiny tree, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in which `all` has run."""
    from tests.workflow.test_dag import copy_tree, snakemake

    tree = copy_tree(tmp_path_factory.mktemp("dag") / "tree")
    done = snakemake(tree, "all")
    assert done.returncode == 0, done.stdout + done.stderr
    return tree
