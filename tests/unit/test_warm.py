"""Jobs that are handed over to a server are as they would be by themselves; without one they run cold."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qualiclip.bench import warm
from tests.support.commands import ROOT, environment
from tests.support.warm_server import warm_server

JOB = """
import os, signal, sys, time
word = sys.argv[1]
print(sys.argv[1:], os.getcwd(), os.environ["WORD"], "QUALICLIP_WARM" in os.environ, __name__, sys.stdin.read())
print("beside", file=sys.stderr)
if word == "stop":
    sys.exit("stopped")
if word == "status":
    sys.exit(7)
if word == "raise":
    raise ValueError("raised")
if word == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if word == "process":
    print("process", os.getpid(), os.getpgrp())
if word == "sleep":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        print("process", os.getpid(), flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
if word == "handler":
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
if word == "package":
    import qualiclip.config
    print(qualiclip.config.__file__)
"""


@pytest.fixture
def tree(tmp_path) -> Path:
    """A package of the suite's name that holds one job and what hands it over."""
    package = tmp_path / "tree/qualiclip/bench"
    package.mkdir(parents=True)
    for name in ("__init__", "warm", "sources"):
        (package / f"{name}.py").write_text(Path(warm.__file__).with_name(f"{name}.py").read_text())
    (package.parent / "__init__.py").touch()
    (package.parent / "config.py").touch()
    (package / "mine.py").write_text(JOB)
    return tmp_path / "tree"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[subprocess.Popen, dict[str, str]]]:
    """A running server, and the change of the environment that names it."""
    with warm_server(tmp_path_factory.mktemp("warm") / "socket") as server:
        yield server


def start(tree: Path, word: str, changes: dict[str, str]) -> subprocess.Popen:
    """Begin the job as a rule does."""
    command = [sys.executable, "-m", "qualiclip.bench.mine", word]
    full = {**environment(tree), "WORD": "word", **changes}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=tree, env=full, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def finish(job: subprocess.Popen) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a job that reads `in`."""
    out, err = job.communicate("in", timeout=60)
    return job.returncode, out, err


@pytest.mark.parametrize("word", ["go", "stop", "status", "raise"])
def test_a_job_handed_over_ends_like_a_cold_one(served, tree, word):
    handed_over, cold = finish(start(tree, word, served[1])), finish(start(tree, word, {}))
    assert handed_over[:2] == cold[:2]
    assert handed_over[1] == f"['{word}'] {tree} word False __main__ in\n"
    assert handed_over[0] == {"go": 0, "stop": 1, "status": 7, "raise": 1}[word]
    lines = [err.splitlines() for err in (handed_over[2], cold[2])]
    assert lines[0][0] == lines[1][0] == "beside" and lines[0][-1] == lines[1][-1]
    assert lines[0][-1] == {"stop": "stopped", "raise": "ValueError: raised"}.get(word, "beside")
    if word != "raise":  # a traceback has the frames of the server, too
        assert lines[0] == lines[1]


def test_the_job_is_done_in_another_process_of_the_same_group(served, tree):
    job = start(tree, "process", served[1])
    _, out, _ = finish(job)
    process, group = map(int, out.splitlines()[-1].split()[1:])
    assert process != job.pid and group == os.getpgrp(), "so that Ctrl-C reaches it"
    job = start(tree, "process", {})
    assert int(finish(job)[1].splitlines()[-1].split()[1]) == job.pid, "a cold one does it itself"


def test_a_job_that_is_killed_has_failed(served, tree):
    assert finish(start(tree, "kill", served[1]))[0] == 1
    assert finish(start(tree, "go", served[1]))[0] == 0, "and the server goes on"


def begun(tree: Path, changes: dict[str, str]) -> tuple[subprocess.Popen, int]:
    """A job that sleeps, and the process that does it."""
    job = start(tree, "sleep", changes)
    job.stdin.write("in")
    job.stdin.close()
    job.stdin = None
    job.stdout.readline()
    return job, int(job.stdout.readline().split()[1])


def ended(process: int, seconds: float = 20) -> bool:
    """Whether a process ends within some seconds."""
    until = time.monotonic() + seconds
    while Path(f"/proc/{process}").exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_sigterm_reaches_the_process_that_does_the_job(served, tree):
    outcomes = []
    for changes in (served[1], {}):
        job, process = begun(tree, changes)
        assert (process == job.pid) == (not changes)
        job.send_signal(signal.SIGTERM)
        out, err = job.communicate(timeout=30)
        outcomes.append((job.returncode, out, err))
        assert ended(process)
    assert outcomes[0] == outcomes[1] == (143, "cleaned up\n", "beside\n")


def test_jobs_that_handle_sigterm_leave_the_server_as_it_is(served, tree):
    """The end of the waiting process is their sign to stop, but not once they are done."""
    for _ in range(20):
        status, _, err = finish(start(tree, "handler", served[1]))
        assert (status, err) == (0, "beside\n")
    assert Path(served[1][warm.SOCKET]).exists(), "later jobs find it"


def test_a_job_ends_when_what_waits_for_it_is_killed(served, tree):
    job, process = begun(tree, served[1])
    job.kill()
    assert job.communicate(timeout=30)[0] == "cleaned up\n"
    assert ended(process)


def test_each_job_imports_the_code_of_its_own_folder(served, tree):
    """The server belongs to this repository, and holds its libraries, not its modules."""
    _, out, err = finish(start(tree, "package", served[1]))
    assert out.splitlines()[-1] == f"{tree}/qualiclip/config.py", err


def test_the_libraries_of_a_job_are_there_already(served, tree):
    command = [sys.executable, "-m", "qualiclip.bench.score.run", "--help"]
    first = subprocess.run(command, env={**environment(), **served[1]}, capture_output=True, text=True, check=False)
    assert first.returncode == 0 and "usage:" in first.stdout, first.stderr
    (tree / "qualiclip/bench/mine.py").write_text("import sys; print('torch' in sys.modules)")
    assert finish(start(tree, "-", served[1]))[1] == "True\n" and finish(start(tree, "-", {}))[1] == "False\n"


def test_the_threads_of_a_job_are_those_of_its_environment(served, tree):
    code = "import torch, threadpoolctl; print(torch.get_num_threads())"
    (tree / "qualiclip/bench/mine.py").write_text(code)
    for n in ("1", "2"):
        printed = [finish(start(tree, "-", {**changes, "OMP_NUM_THREADS": n}))[1] for changes in (served[1], {})]
        assert printed == [f"{n}\n"] * 2


def test_a_module_that_is_not_there_fails_alone(served, tree):
    (tree / "qualiclip/bench/mine.py").unlink()
    status, _, err = finish(start(tree, "go", served[1]))
    assert status == 1 and "No module named" in err
    command = [sys.executable, "-m", "qualiclip.bench.score.run", "--help"]
    after = subprocess.run(command, env={**environment(), **served[1]}, capture_output=True, text=True, check=False)
    assert after.returncode == 0 and served[0].poll() is None


def test_what_ends_before_it_has_said_all_does_not_stop_the_server(served, tree):
    path = served[1][warm.SOCKET]
    for first in (b"", (100).to_bytes(warm.HEADER, "big"), (100).to_bytes(warm.HEADER, "big") + b"[["):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(first)
    assert finish(start(tree, "go", served[1]))[0] == 0


def test_without_a_server_a_job_runs_cold(tree, tmp_path):
    cold = finish(start(tree, "go", {}))
    assert cold[0] == 0
    for path in (tmp_path / "nothing", tmp_path):
        status, out, err = finish(start(tree, "go", {warm.SOCKET: str(path)}))
        assert (status, out.replace(" True ", " False "), err) == cold
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "left"))  # of a server that was killed
    left.close()
    assert finish(start(tree, "go", {warm.SOCKET: str(tmp_path / "left")}))[0] == 0


def test_the_server_ends_when_its_standard_input_closes(tree, tmp_path):
    (tmp_path / "server").mkdir()
    with warm_server(tmp_path / "server/socket") as (server, changes):
        job, process = begun(tree, changes)
        server.stdin.close()
        assert server.wait(20) == 0 and not (tmp_path / "server").exists()
        assert not ended(process, 0.5), "what it has begun goes on"
        job.send_signal(signal.SIGTERM)
        assert job.wait(20) == 143
        assert finish(start(tree, "go", changes))[0] == 0, "and what comes later runs cold"


def test_a_run_starts_a_server_unless_there_is_one(tmp_path):
    code = "import os, pathlib, time; from qualiclip.bench import warm; warm.start(); print(os.environ[warm.SOCKET])\n"
    code += "path = pathlib.Path(os.environ[warm.SOCKET])\n"
    code += "while not path.exists(): time.sleep(0.05)\n"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    until = time.monotonic() + 20
    while path.parent.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not path.parent.exists(), "it ends with the process that has started it"
    code = code.partition("\n")[0]
    named = {**environment(), warm.SOCKET: "/named"}
    done = subprocess.run([sys.executable, "-c", code], env=named, capture_output=True, text=True, check=False)
    assert done.stdout == "/named\n"


NO_GPU_ASKED_FOR = """
import importlib, re, sys, torch
from contextlib import suppress
from pathlib import Path
from qualiclip.bench.sources import libraries

def refused(*_):
    raise AssertionError("it asks for a GPU")

torch._C._cuda_getDeviceCount = torch.cuda._device_count_nvml = torch.cuda._lazy_init = refused
rules = "".join(p.read_text() for p in Path("workflow/rules").glob("*.smk"))
jobs = set(re.findall(r"-m (qualiclip[.\\w]+)", rules))
for name in {name for job in jobs for name in libraries(job)}:
    with suppress(ModuleNotFoundError):  # an optional plugin
        importlib.import_module(name)
print(len(jobs))
"""


def test_libraries_ask_for_no_gpu_when_they_are_imported():
    """A process that has asked for one leaves forks that cannot use it."""
    done = subprocess.run(
        [sys.executable, "-c", NO_GPU_ASKED_FOR],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
