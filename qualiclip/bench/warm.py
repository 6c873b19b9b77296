"""Warm start: the jobs of a run are forked from one process that has imported their libraries already.

A job imports torch and its company for two to five seconds, and a run at scale mini has more than a hundred jobs. So
Snakemake starts a server (the Snakefile's `onstart`), and names its socket in the environment. A job,
`python -m qualiclip.bench.<module> ...`, hands itself over as its first act (qualiclip/bench/__init__.py): it sends its
arguments, folder, environment and streams; the server imports what the module needs, forks, and the fork does the job;
the first process waits for the exit status. Without a server the job runs as it is.

The server ends with Snakemake. It holds libraries, not this suite's modules: each job imports those anew.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from pathlib import Path

SOCKET = "QUALICLIP_WARM"  # environment variable: where the server listens
HEADER = 4  # bytes that state the length of a request
STREAMS = 3


def start() -> None:
    """Start a server that lives as long as this process, unless there is one."""
    if SOCKET in os.environ:
        return
    path = Path(tempfile.mkdtemp(prefix="qualiclip-")) / "warm"
    # the server ends when this pipe closes, however this process ends
    subprocess.Popen([sys.executable, "-m", "qualiclip.bench.warm", str(path)], stdin=subprocess.PIPE)
    os.environ[SOCKET] = str(path)


def hand_over() -> None:
    """Have the server do this process's job, and exit with its status. Returns where there is no server."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.environ[SOCKET])
    except OSError:  # not listening yet, or no more
        return
    request = json.dumps([sys.orig_argv[2:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [len(request).to_bytes(HEADER, "big")], range(STREAMS))
    connection.sendall(request)
    # Ctrl-C reaches the fork by itself, as it belongs to the same process group; other signals are passed on
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: connection.sendall(bytes([number])))
    status = connection.recv(1)
    os._exit(status[0] if status else 1)  # no status: the fork was killed


def _receive(connection: socket.socket) -> tuple[list[str], str, dict[str, str], list[int]]:
    """Arguments, folder, environment and streams of a job. Raises ValueError where its process has been killed."""
    header, fds, *_ = socket.recv_fds(connection, HEADER, STREAMS)
    length, request = int.from_bytes(header, "big"), b""
    while len(request) < length and (part := connection.recv(1 << 20)):
        request += part
    arguments, folder, environment = json.loads(request)
    return arguments, folder, environment, fds


def _preload(module: str) -> None:
    """Import the libraries behind a module of this suite, so that forks have them."""
    from qualiclip.bench.sources import libraries

    names: list[str] = []
    with suppress(ValueError, SyntaxError, OSError):  # no module of this tree, or one that cannot be read
        names = libraries(module)
    for name in names:
        with suppress(Exception):  # the job will meet the error itself, and say what it says
            importlib.import_module(name)


def _obey(connection: socket.socket) -> None:
    """Raise the signals that the waiting process passes on; end when it is gone."""
    number = connection.recv(1)
    os.kill(os.getpid(), number[0] if number else signal.SIGTERM)


def _limit_threads(n: str | None) -> None:
    """Give the libraries as many threads as a new process would take: Snakemake states the job's in the environment."""
    if n:
        from threadpoolctl import threadpool_limits

        threadpool_limits(int(n))
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(int(n))


def _work(connection: socket.socket, arguments: list[str], folder: str, environment: dict, fds: list[int]) -> int:
    """Do one job in this fork; returns its exit status."""
    import atexit

    # become the process that handed over
    for number in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    del os.environ[SOCKET]
    sys.path[0], sys.argv = folder, arguments
    for name in [n for n in sys.modules if n.split(".")[0] == "qualiclip"]:
        del sys.modules[name]
    _limit_threads(os.environ.get("OMP_NUM_THREADS"))
    threading.Thread(target=_obey, args=[connection], daemon=True).start()
    # run the module, and turn what it raises into a status, as the interpreter does
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as e:
        if isinstance(e.code, str):
            print(e.code, file=sys.stderr)
        status = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status & 255


def serve(path: Path) -> None:
    """Do the jobs that come to the socket at `path`, until standard input closes."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(64)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    server = os.getpid()
    try:
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            try:
                job = _receive(connection)
            except (OSError, ValueError):
                connection.close()
                continue
            _preload(job[0][0])
            if os.fork() == 0:
                listening.close()
                try:
                    status = _work(connection, *job)
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the waiting process may end now
                    with suppress(OSError):
                        connection.sendall(bytes([status]))
                    os._exit(status)
                finally:
                    os._exit(1)
            for fd in job[-1]:
                os.close(fd)
            connection.close()
    finally:
        if os.getpid() == server:  # and not a fork that a signal has brought here
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not the folder that `start` made, but one that holds something else
                path.parent.rmdir()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
