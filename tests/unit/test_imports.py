"""The arrows of the architecture run one way: cards, data, methods, score, metrics, tables, figures, report."""

from __future__ import annotations

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.support.commands import ROOT


def test_the_import_contracts_hold(at_root):
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Which module imports which, those for types alone left out."""
    return grimp.build_graph("qualiclip", exclude_type_checking_imports=True, cache_dir=None)


def test_the_contracts_name_every_module_of_the_method(graph):
    """A new module of the method is forbidden to import the benchmark, too."""
    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    forbidden = next(c for c in contracts if c["type"] == "forbidden")
    children = graph.find_children("qualiclip") - set(forbidden["forbidden_modules"])
    assert set(forbidden["source_modules"]) == children


def test_the_contracts_name_every_package_of_the_benchmark(graph):
    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    layers = [m.strip() for c in contracts if c["type"] == "layers" for row in c["layers"] for m in row.split(":")]
    packages = {m for m in graph.find_children("qualiclip.bench") if graph.find_children(m)}
    assert packages <= set(layers), packages - set(layers)


def test_no_modules_import_each_other_in_a_circle(graph):
    imports = {m: graph.find_modules_directly_imported_by(m) for m in sorted(graph.modules)}
    circles = [(m, n) for m, others in imports.items() for n in others if m in graph.find_upstream_modules(n)]
    assert not circles
