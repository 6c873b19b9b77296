"""A Python that has its libraries imported already: 1400 jobs need not each spend seconds on torch.

`python tests/rehearsal/python.py SOCKET MIRROR` waits at a socket. The program `python` of a rehearsal sends it a
command line, folder, environment and the three streams; the answer is the exit state of a fork that did the job, in a
process of its own, by `python -m module ...` as the rule says. Nothing of this suite is imported before the fork.

There is no network, and the crops that metrics take are few (weights.shrink).
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path

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


def keep(tensor, *args, **kwargs):
    return tensor


def without_network() -> None:
    connect = socket.socket.connect

    def near(self, address):
        if self.family != socket.AF_UNIX:
            raise OSError(f"a rehearsal has no network: {address}")
        connect(self, address)

    socket.socket.connect = near


def prepare(mirror: Path) -> None:
    """Import what jobs import, libraries alone; sizes and addresses of pyiqa's models."""
    import kornia  # noqa: F401
    import matplotlib.pyplot
    import openpyxl  # noqa: F401
    import pandas  # noqa: F401
    import pydantic  # noqa: F401
    import pyiqa.archs
    import scipy.io
    import scipy.optimize
    import scipy.stats  # noqa: F401
    import sklearn  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    from tests.rehearsal.weights import pin_clip, shrink

    matplotlib.use("Agg")
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")  # bfloat16 inside, where the processor has it: half the time
    torch.backends.mkldnn.conv.fp32_precision = "bf16"
    pyiqa.archs._lazy_import_arch("all of them")
    shrink()
    pin_clip(mirror)
    for name in [n for n in dir(torch.nn.init) if n.endswith("_") and not n.startswith("_")]:
        setattr(
            torch.nn.init, name, keep
        )  # weights are read from files: seconds of random numbers before are for nothing
    for name in [n for n in sys.modules if n.split(".")[0] in ("qualiclip", "tests")]:
        del sys.modules[name]
    without_network()


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
    prepare(Path(sys.argv[2]))
    serve(Path(sys.argv[1]))
