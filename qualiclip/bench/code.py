"""Which of the suite's files an output depends on: a module and everything it imports.

Snakemake does not see imports. Rules name `sources(module)` among their inputs, so that editing
correlate.py reruns the metrics, and nothing else.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent


def _file(module: str) -> Path | None:
    """The file of a module of this package, None for anything else."""
    path = ROOT / Path(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if module.split(".")[0] == PACKAGE.name and candidate.is_file():
            return candidate
    return None


@cache
def _imports(file: Path) -> frozenset[Path]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        else:
            continue
        found |= {f for n in names if (f := _file(n))}
    return frozenset(found)


def closure(*files: Path) -> list[str]:
    """The files and all files of this package that they import, directly or not."""
    seen: set[Path] = set()
    todo = [Path(f).resolve() for f in files]
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += _imports(file)
    return sorted(str(f.relative_to(ROOT)) if f.is_relative_to(ROOT) else str(f) for f in seen)


def sources(module: str) -> list[str]:
    """Files behind `python -m module`. Raises ValueError for a module that is not of this package."""
    file = _file(module)
    if file is None:
        raise ValueError(f"{module} is not a module of {PACKAGE.name}")
    return closure(file)
