"""The DAG on a real SLURM of one node, on the loopback address; skipped where none can be started."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.trees import jobs, output_of

pytestmark = pytest.mark.dag

DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIG = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthInfo=socket={home}/munge.socket
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
JobCompType=jobcomp/filetxt
JobCompLoc={home}/jobs.txt
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=32000 Gres=gpu:1
PartitionName=all Nodes={host} Default=YES State=UP
"""


def free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(2)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(condition, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    """The environment of a cluster of this machine alone, with a GPU in name only."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    absent = [d for d in DAEMONS if not shutil.which(d, path=path)]
    if absent or os.geteuid() or not find_spec("snakemake_executor_plugin_slurm"):
        pytest.skip(
            "no SLURM can be started here: it needs root, Debian's slurm-wlm and munge, and "
            f"snakemake-executor-plugin-slurm (pip install .[slurm]); not found: {', '.join(absent) or 'none'}"
        )
    home = Path(tempfile.mkdtemp(prefix="slurm-"))  # not below tmp_path: munge wants folders that all may enter
    home.chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    cores = max(2, os.cpu_count() or 1)
    (home / "slurm.conf").write_text(CONFIG.format(home=home, host=host, ports=free_ports(), cores=cores))
    (home / "gres.conf").write_text(f"NodeName={host} Name=gpu File=/dev/null\n")
    (home / "munge.key").write_bytes(os.urandom(64))
    (home / "munge.key").chmod(0o400)
    for folder in ("state", "spool"):
        (home / folder).mkdir()
    # the executor takes SLURM_CONF from the environment of its job steps: on a real cluster it is in its usual place
    (home / "bin").mkdir()
    (home / "bin/srun").write_text(f'#!/bin/sh\nSLURM_CONF={home}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    (home / "bin/srun").chmod(0o755)
    env = {"SLURM_CONF": str(home / "slurm.conf"), "PATH": f"{home}/bin{os.pathsep}{path}"}
    files = {f"--{n}": f"{home}/munge.{n.partition('-')[0]}" for n in ("key-file", "pid-file", "log-file", "seed-file")}
    munge = [f"{k}={v}" for k, v in files.items()]
    started = [
        subprocess.run(c, env={**os.environ, **env}, capture_output=True, text=True)
        for c in (["munged", f"--socket={home}/munge.socket", *munge], ["slurmctld"], ["slurmd"])
    ]

    def idle() -> bool:
        state = subprocess.run(["sinfo", "-h", "-o", "%T"], env={**os.environ, **env}, capture_output=True, text=True)
        return state.stdout.strip() == "idle"

    try:
        if not wait_for(idle, 20):
            logs = [f.read_text()[-2000:] for f in sorted(home.glob("*.log"))]
            pytest.skip("\n".join(["SLURM does not start here:", *(s.stderr for s in started), *logs]))
        yield env
    finally:
        for pid in home.glob("*.pid"):
            number = int(pid.read_text())
            os.kill(number, 15)
            wait_for(lambda n=number: not Path(f"/proc/{n}").exists(), 10)
        shutil.rmtree(home)


def on_cluster(tree: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A run by the project's profile, with what this one node's SLURM asks for: no accounting, quick questions."""
    profile = ["--workflow-profile", "slurm"]
    here = [
        "--slurm-status-command",
        "squeue",
        "--slurm-init-seconds-before-status-checks",
        "2",
        "--seconds-between-status-checks",
        "2",
    ]
    here += ["--slurm-no-account", "--latency-wait", "5", "--retries", "0", "--cores", "2"]
    path = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    return run("snakemake", *profile, *here, *arguments, cwd=tree, **{**env, "PATH": path})


def test_shards_on_a_cluster_make_the_same_score_file(slurm, finished_small, tmp_path):
    """Shards with a GPU each are jobs of the cluster; the merge, correlations and the table are not."""
    tree = Path(shutil.copytree(finished_small, tmp_path / "tree", symlinks=True))
    files = ("scores/piqe/mini_authentic.csv", "metrics/piqe/mini_authentic.csv", "tables/zero_shot_authentic.md")
    made = [f"results/mini/{file}" for file in files]
    for file in made:
        (tree / file).unlink()
    (tree / "files").mkdir()
    options = ["--config", "shard=8", "mirror=files", "--set-resources", "score_shard:gpu=1"]
    done = on_cluster(tree, slurm, "table_zero_shot_authentic", *options)
    assert done.returncode == 0, output_of(done)
    assert jobs(done) == {"score_shard": 2, "merge_shards": 1, "metrics": 1, "table": 1}
    for file in made:
        assert (tree / file).read_bytes() == (finished_small / file).read_bytes()
    assert not (tree / "results/mini/scores/piqe/mini_authentic.shards").exists()
    known = run("scontrol", "show", "job", "--oneliner", cwd=tree, **slurm).stdout.splitlines()
    assert len(known) == 2 and all("JobState=COMPLETED" in k and "mem=8000M" in k for k in known), known
    assert sum("TresPerJob=gres:gpu:1" in k for k in known) == 2
    done = on_cluster(tree, slurm, "-n", "table_zero_shot_authentic")
    assert "Nothing to be done" in output_of(done), "another `shard` scores nothing again"
