"""The JSON sidecar that says where an output comes from."""

from __future__ import annotations

import json
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qualiclip import __version__
from qualiclip.bench.code import ROOT
from qualiclip.bench.files import write_text

PACKAGES = ("torch", "torchvision", "open_clip_torch", "pyiqa", "kornia", "numpy", "pandas", "scipy", "pillow")


def sidecar(path: Path) -> Path:
    """<file>.provenance.json"""
    return path.with_name(path.name + ".provenance.json")


@cache
def revision() -> str:
    """The git commit, marked when the tree has changes; the package version outside of git."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True
        )
    except OSError:  # no git on this machine
        return __version__
    return said.stdout.strip() or __version__


@cache
def packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def record(path: Path, **facts: Any) -> None:
    """Write the sidecar of `path`: the given facts, and those of this machine and code."""
    common = {
        "file": path.name,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "python": platform.python_version(),
        "packages": packages(),
    }
    write_text(sidecar(path), json.dumps({**facts, **common}, indent=2, default=str) + "\n")


def read(path: Path) -> dict[str, Any]:
    """The sidecar of `path`; empty where there is none, or none that is whole."""
    try:
        return json.loads(sidecar(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
