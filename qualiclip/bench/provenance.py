"""The JSON sidecar that states where an output comes from."""

from __future__ import annotations

import json
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qualiclip.bench.paths import sidecar
from qualiclip.io import write_text

PACKAGES = ("torch", "torchvision", "open_clip_torch", "pyiqa", "kornia", "numpy", "pandas", "scipy", "pillow")


@cache
def revision() -> str:
    """The git commit, marked when the tree has changes; outside of git the version of the package."""
    try:
        git = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
    except OSError:  # git is not installed
        return version("qualiclip")
    return git.stdout.strip() or version("qualiclip")


@cache
def packages() -> dict[str, str]:
    """Versions of the installed packages that scores depend on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


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
    """The sidecar of `path`; empty where there is none, or an incomplete one."""
    try:
        return json.loads(sidecar(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
