"""A Python that has its libraries imported already: hundreds of jobs need not each spend seconds on torch.

`python -m tests.support.warm_python SOCKET` waits at a socket. The program `python` of `started` sends it a command line, folder,
environment and the three streams; the answer is the exit state of a fork that did the job, in a process of its own,
by `python -m module ...` as the rule says. Nothing of this suite is imported before the fork.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

CLIENT = """#!{python} -SE
import array, json, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect({path!r})
said = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
fds = array.array("i", [0, 1, 2])
s.sendmsg([len(said).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
s.sendall(said)
answer = s.recv(1)
os._exit(answer[0] if answer else 137)
"""


def install(folder: Path, path: Path) -> None:
    """The program `python` that asks the server at `path`."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "python"
    program.write_text(CLIENT.format(python=sys.executable, path=str(path)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def libraries() -> None:
    """Import what jobs import, of this suite nothing."""
    import kornia  # noqa: F401
    import matplotlib.pyplot
    import open_clip  # noqa: F401
    import openpyxl  # noqa: F401
    import pandas  # noqa: F401
    import pydantic  # noqa: F401
    import pyiqa.archs  # noqa: F401
    import scipy.io
    import scipy.optimize
    import scipy.stats  # noqa: F401
    import sklearn  # noqa: F401
    import torchvision  # noqa: F401

    matplotlib.use("Agg")


@contextmanager
def started(folder: Path, *command: str, environment: dict[str, str] | None = None) -> Iterator[Path]:
    """A folder with a `python` whose libraries are imported already; `command` answers at the socket given last."""
    path = folder / "python.socket"
    path.unlink(missing_ok=True)
    install(folder / "bin", path)
    program = command or ("-m", "tests.support.warm_python")
    server = subprocess.Popen([sys.executable, *program, str(path)], cwd=ROOT, env=environment)
    try:
        while not path.exists():
            if server.poll() is not None:
                raise RuntimeError("the prepared Python did not start")
            time.sleep(0.1)
        yield folder / "bin"
    finally:
        server.kill()
        server.wait()


def receive(connection: socket.socket) -> tuple[list, list[int]]:
    """What a client sends: [arguments, folder, environment], and its three streams."""
    fds = array.array("i")
    size, ancillary, *_ = connection.recvmsg(4, socket.CMSG_SPACE(3 * fds.itemsize))
    for *_, data in ancillary:
        fds.frombytes(data)
    said = b""
    while len(said) < int.from_bytes(size, "big"):
        said += connection.recv(1 << 20)
    return json.loads(said), list(fds)


def work(connection: socket.socket) -> int:
    """Do one command in this process; its exit state."""
    import atexit
    import runpy
    import traceback

    (arguments, folder, environment), fds = receive(connection)
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    if arguments[0] != "-m":
        print(f"only python -m is rehearsed, not {arguments}", file=sys.stderr)
        return 2
    sys.argv = arguments[1:]
    try:
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        state = 0
    except SystemExit as e:
        if isinstance(e.code, str):
            print(e.code, file=sys.stderr)
        state = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        state = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return state


def serve(path: Path) -> None:
    """Answer until killed; beside the socket, what ran and the CPU seconds that it took."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while True:
        connection, _ = listening.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listening.close()
        state = 1
        try:
            state = work(connection)
            spent = os.times()
            with path.with_suffix(".tsv").open("a") as f:
                f.write(f"{sys.argv[0]}\t{sum(spent[:4]):.2f}\n")
        finally:
            connection.sendall(bytes([state & 255]))
            os._exit(state & 255)


if __name__ == "__main__":
    libraries()
    serve(Path(sys.argv[1]))
