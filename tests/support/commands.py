"""Commands as a user gives them: in a folder, with the programs of this interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def environment(cwd: Path = ROOT, **changes: str) -> dict[str, str]:
    """What a command needs that runs in `cwd`: this interpreter's programs first on the path, the package there."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    modules = os.pathsep.join(filter(None, [str(cwd), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PATH": path, "PYTHONPATH": modules, **changes}


def run(*command: str, cwd: Path = ROOT, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit status. changes: of the environment."""
    full = environment(cwd, **changes)
    return subprocess.run(command, cwd=cwd, env=full, capture_output=True, text=True, check=False)


def imports_torch(module: str) -> bool:
    """Whether a fresh interpreter that imports `module` has imported torch. Raises AssertionError if it cannot."""
    done = run(sys.executable, "-c", f"import sys, {module}; print('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() == "True"
