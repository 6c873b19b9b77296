"""Which files an output depends on: what they import, and no more."""

from __future__ import annotations

import ast
import re

import pytest

from qualiclip.bench.sources import PACKAGE, closure, libraries, sources
from tests.support.commands import ROOT, imports_torch

SCORE, TRAIN = "qualiclip.bench.score.run", "qualiclip.bench.train"


def test_the_code_behind_an_output_is_found():
    assert "qualiclip/bench/metrics/correlate.py" in sources("qualiclip.bench.metrics.correlate")
    assert "qualiclip/train.py" not in sources("qualiclip.bench.metrics.correlate")
    assert {"qualiclip/degrade/spatial.py", "qualiclip/losses.py", "qualiclip/train.py"} <= set(sources(TRAIN))
    assert {"qualiclip/model.py", "qualiclip/bench/methods/load.py"} <= set(sources(SCORE))


@pytest.mark.parametrize("module", [SCORE, TRAIN, "qualiclip.bench.score.per_split", "qualiclip.bench.score.features"])
def test_the_expensive_outputs_depend_on_no_code_of_cheap_ones(module):
    """A word in a table's card, a new figure or another version neither trains nor scores anything again."""
    files = sources(module)
    cheap = re.compile(
        r"qualiclip/bench/(cards/(table|figure)|workspace|captions|warm|(tables|figures|report|metrics|measure)/\w+)\.py"
    )
    assert not [f for f in files if cheap.fullmatch(f)]
    assert "qualiclip/__init__.py" not in files and "pyproject.toml" not in files
    assert not [f for f in files if "version" in names_assigned(f)], "the version of the package is in none"


def names_assigned(file: str) -> set[str]:
    """Names that a module defines at its top, without their underscores."""
    tree = ast.parse((ROOT / file).read_text())
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    return {t.id.strip("_") for t in targets if isinstance(t, ast.Name)}


def test_training_reads_no_card_but_checks_its_config():
    assert [f for f in sources(TRAIN) if "/cards/" in f] == ["qualiclip/bench/cards/base.py"]


def test_every_import_of_the_package_is_absolute():
    """A relative import would not be followed."""
    relative = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


def test_code_beside_a_card_is_followed_into_the_package(tmp_path):
    (tmp_path / "mine.py").write_text("from qualiclip.losses import plcc\nimport numpy\n")
    assert closure(tmp_path / "mine.py") == sorted([str(tmp_path / "mine.py"), "qualiclip/losses.py"])


def test_imports_for_types_alone_are_not_followed(tmp_path):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from qualiclip.losses import plcc\n"
    (tmp_path / "mine.py").write_text(text)
    assert closure(tmp_path / "mine.py") == [str(tmp_path / "mine.py")]
    (tmp_path / "late.py").write_text("def f():\n    from qualiclip.losses import plcc\n")
    assert "qualiclip/losses.py" in closure(tmp_path / "late.py"), "those inside a function are"


def test_what_is_no_module_of_the_package_is_refused():
    for module in ("numpy", "qualiclip.nothing"):
        with pytest.raises(ValueError, match=f"{module} is not a module of qualiclip"):
            sources(module)


def test_the_libraries_behind_a_job():
    found = libraries(SCORE)
    assert {"torch", "pyiqa", "pandas"} <= set(found)
    assert not [name for name in found if name.split(".")[0] in ("qualiclip", "os", "json", "__future__")]


BOOKKEEPING = ["cards.schemas", "workspace", "data.fetch", "data.index", "metrics.correlate", "metrics.significance"]
BOOKKEEPING += ["metrics.gmad", "score.precomputed", "score.refused", "score.per_split", "score.shards"]
BOOKKEEPING += ["tables.render", "tables.correlations", "figures.draw", "figures.gmad", "report.page"]


@pytest.mark.parametrize("module", BOOKKEEPING)
def test_bookkeeping_never_imports_torch(module):
    assert not imports_torch(f"qualiclip.bench.{module}")


@pytest.mark.parametrize("module", ["qualiclip.config", "qualiclip.bench.methods.contract"])
def test_what_rules_and_users_import_is_light(module):
    assert not imports_torch(module)
