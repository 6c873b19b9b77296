"""A server of qualiclip/bench/warm.py: jobs handed over to it need not spend seconds on importing torch."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qualiclip.bench.warm import SOCKET
from tests.support.commands import ROOT


@contextmanager
def warm_server(
    path: Path, *command: str, environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen, dict[str, str]]]:
    """The process that listens at `path`, and the change of the environment by which jobs find it.

    command: arguments of Python in place of the server's own module; the socket is appended. environment: of the
    server; jobs bring theirs.
    """
    program = [sys.executable, *(command or ("-m", "qualiclip.bench.warm")), str(path)]
    server = subprocess.Popen(program, cwd=ROOT, env=environment, stdin=subprocess.PIPE)
    try:
        while not path.exists():
            if server.poll() is not None:
                raise RuntimeError(f"{' '.join(program)} ended with {server.returncode}")
            time.sleep(0.05)
        yield server, {SOCKET: str(path)}
    finally:
        server.stdin.close()  # its sign to end
        try:
            server.wait(10)
        finally:
            server.kill()
