"""Finished runs of tiny trees, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.trees import copy_tree, run_all, small_tree
from tests.support.warm_server import warm_server


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What of the environment lets the jobs of many small runs begin without seconds of imports: one server for all."""
    with warm_server(tmp_path_factory.mktemp("warm") / "socket") as (_, environment):
        yield environment


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, warm: dict[str, str]) -> Path:
    """A tree in which `all` has run."""
    return run_all(copy_tree(tmp_path_factory.mktemp("dag") / "tree"), **warm)


@pytest.fixture(scope="session")
def finished_small(tmp_path_factory: pytest.TempPathFactory, warm: dict[str, str]) -> Path:
    """A smaller one in which `all` has run."""
    return run_all(small_tree(tmp_path_factory.mktemp("small") / "tree"), **warm)
