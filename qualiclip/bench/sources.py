"""Which source files an output depends on: a module and everything of this package that it imports.

Snakemake does not see imports. Rules name `sources(module)` among their inputs, so that editing correlate.py reruns
the metrics, and nothing else.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent


def _file(module: str) -> Path | None:
    """The file of a module of this package; None for anything else."""
    path = ROOT / Path(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if module.split(".")[0] == PACKAGE.name and candidate.is_file():
            return candidate
    return None


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below `node`, but for those of `if TYPE_CHECKING:`, which is never run."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield child
            yield from _walk(child)


@cache
def _imported(file: Path) -> frozenset[str]:
    """Names of the modules that a file imports, inside functions too. Imports must be absolute."""
    names = set()
    for node in _walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import module` imports the module, `from package import name` the package
            imported = [f"{node.module}.{a.name}" for a in node.names]
            names |= {n if _file(n) else node.module for n in imported}
    return frozenset(names)


def closure(*files: Path) -> list[str]:
    """The files, and all files of this package that they import, directly or not; relative to the repository."""
    seen: set[Path] = set()
    todo = [Path(f).resolve() for f in files]
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += [f for n in _imported(file) if (f := _file(n))]
    return sorted(str(f.relative_to(ROOT)) if f.is_relative_to(ROOT) else str(f) for f in seen)


def sources(module: str) -> list[str]:
    """Files behind `python -m module`. Raises ValueError for a module that is not of this package."""
    file = _file(module)
    if file is None:
        raise ValueError(f"{module} is not a module of {PACKAGE.name}")
    return closure(file)


def libraries(module: str) -> list[str]:
    """Modules of other packages behind `python -m module`, those of the standard library left out."""
    names = {n for file in sources(module) for n in _imported(ROOT / file)}
    ours = {PACKAGE.name, "__future__", *sys.stdlib_module_names}
    return sorted(n for n in names if n.split(".")[0] not in ours)
