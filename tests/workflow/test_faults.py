"""Kills, full and read-only disks, damaged files, on the real DAG: nothing silent, nothing lost.

Whatever happened, running the same command again ends with the files of a run to which nothing happened.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.commands import environment
from tests.support.trees import jobs, output_of, small_tree, snakemake

pytestmark = pytest.mark.dag

STAGES = {  # as their processes show
    "fetch": "qualiclip.bench.data.fetch",
    "index": "qualiclip.bench.data.index",
    "train": "qualiclip.bench.train",
    "score": "qualiclip.bench.score.run",
    "metrics": "qualiclip.bench.metrics.correlate",
    "table": "qualiclip.bench.tables.render",
    "figure": "qualiclip.bench.figures.draw",
    "report": "qualiclip.bench.report.page",
}
SCORES, METRICS = "results/mini/scores/{}/mini_authentic.csv", "results/mini/metrics/{}/mini_authentic.csv"


@pytest.fixture
def tree(finished_small, tmp_path) -> Path:
    """A copy of the finished tree, to spoil."""
    return Path(shutil.copytree(finished_small, tmp_path / "tree", symlinks=True))


def products(tree: Path) -> dict[str, bytes]:
    """All that a run makes, apart from what states times: provenance, logs and the report of them.

    Hidden files are left out: a SIGKILL in the middle of writing leaves one, which nothing reads.
    """
    files = [*(tree / "results/mini").rglob("*"), *(tree / "datasets/raw").rglob("*.png")]
    return {
        str(f.relative_to(tree)): f.read_bytes()
        for f in files
        if f.is_file()
        and not f.name.startswith(".")
        and "logs" not in f.parts
        and not f.name.endswith((".provenance.json", ".html", ".pdf"))
    }


def assert_same(tree: Path, finished: Path) -> None:
    """The tree has what a run to which nothing happened has: every file, and no other."""
    ours, theirs = products(tree), products(finished)
    assert ours.keys() == theirs.keys()
    assert not [f for f in theirs if ours[f] != theirs[f]]
    assert (tree / "results/mini/report.html").stat().st_size > 10_000


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def running(main: int) -> dict[str, int]:
    """Stage -> process of one of the jobs of a run; a job is the child of its shell, the child of the run."""
    stages = {}
    for process in (int(p.name) for p in Path("/proc").glob("[0-9]*")):
        try:
            words = Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
            stage = next((s for s, module in STAGES.items() if words[1:3] == ["-m", module]), None)
            if stage and main in (parent(process), parent(parent(process))):
                stages[stage] = process
        except OSError:  # it ended meanwhile
            continue
    return stages


def start(tree: Path, *arguments: str) -> subprocess.Popen:
    out = (tree / "output.txt").open("w")
    command = ["snakemake", "--cores", "2", *arguments]
    return subprocess.Popen(command, cwd=tree, env=environment(tree), stdout=out, stderr=out)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_sigkill_of_a_worker_and_of_snakemake_in_every_stage(finished_small, tmp_path):
    tree = small_tree(tmp_path / "tree")
    workers, mains = set(STAGES), set(STAGES)  # of these stages one is still to be killed
    launches = 0
    while workers or mains:
        launches += 1
        assert launches < 30, f"never seen: {workers | mains}"
        job = start(tree, "--keep-going", "all")
        killed: set[int] = set()
        while job.poll() is None:
            for stage, process in running(job.pid).items():
                if stage in workers:
                    workers.remove(stage)
                    killed.add(process)
                    os.kill(process, signal.SIGKILL)
                elif stage in mains and process not in killed:
                    mains.remove(stage)
                    job.kill()  # its jobs go on without it
                    break
            time.sleep(0.02)
        text = (tree / "output.txt").read_text(errors="replace")
        if job.returncode == -signal.SIGKILL:
            if len(mains) == len(STAGES) - 1:
                again = snakemake(tree, "all")
                assert again.returncode != 0 and "--unlock" in output_of(again) and not jobs(again)
            shutil.rmtree(tree / ".snakemake/locks")  # what --unlock does, which takes seconds
        else:
            assert (job.returncode != 0) == bool(killed), text
    (tree / "output.txt").unlink()
    assert snakemake(tree, "--unlock").returncode == 0
    done = snakemake(tree, "all")
    assert done.returncode == 0, output_of(done)
    assert_same(tree, finished_small)


def test_two_runs_at_once(tree, finished_small):
    for f in (SCORES.format("piqe"), METRICS.format("piqe")):
        (tree / f).unlink()
    first = start(tree, METRICS.format("piqe"))
    while not (locks := tree / ".snakemake/locks").is_dir() or not list(locks.iterdir()):
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)  # so that it is not done before the second has come
    second = snakemake(tree, METRICS.format("piqe"))
    first.send_signal(signal.SIGCONT)
    assert second.returncode != 0 and "cannot be locked" in output_of(second) and not jobs(second)
    assert first.wait() == 0, (tree / "output.txt").read_text()
    assert_same(tree, finished_small)


@contextmanager
def mounted(*arguments: str | Path) -> Iterator[None]:
    """A mount for a while, where this user may make one."""
    try:
        done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
        why = done.stderr.strip() if done.returncode else ""
    except OSError as e:
        why = str(e)
    if why:
        pytest.skip(f"no file system can be mounted here: {why}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(arguments[-1])], check=True)


def test_a_full_disk(finished_small, tmp_path):
    tree = small_tree(tmp_path / "tree")
    shutil.copytree(finished_small / "datasets/raw", tree / "datasets/raw")
    (tree / "results").mkdir()
    with mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs", tree / "results"):
        done = snakemake(tree, "--keep-going", METRICS.format("qualiclip"), METRICS.format("laplacian"))
        assert done.returncode != 0
        weights = tree / "results/mini/checkpoints/qualiclip"
        assert f"{weights.relative_to(tree)}" in output_of(done)
        assert "No space left on device; free some space" in output_of(done)
        assert not (weights / "weights.safetensors").exists() and not list(weights.glob(".*"))
        mount = ["mount", "-o", "remount,size=200m", str(tree / "results")]
        subprocess.run(mount, check=True)
        done = snakemake(tree, "all")
        assert done.returncode == 0, output_of(done)
        assert_same(tree, finished_small)


def test_a_results_folder_that_is_read_only(tree, finished_small):
    (tree / METRICS.format("piqe")).unlink()
    results = tree / "results"
    with mounted("--bind", results, results):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(results)], check=True)
        done = snakemake(tree, METRICS.format("piqe"))
    assert done.returncode != 0 and "Read-only file system" in output_of(done) and "results/mini" in output_of(done)
    assert snakemake(tree, "all").returncode == 0
    assert_same(tree, finished_small)


def cut(text: str) -> str:
    return text[: len(text) // 2]


def foreign_row(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:-1], "another.png,0.5,\n"])


@pytest.fixture(scope="module")
def damaged(finished_small, tmp_path_factory):
    """A tree with one damaged file a kind, the run that meets them, and the run after they were removed."""
    tree = Path(shutil.copytree(finished_small, tmp_path_factory.mktemp("damaged") / "tree", symlinks=True))
    for method, spoil in (("laplacian", cut), ("piqe", foreign_row)):
        file = tree / SCORES.format(method)
        file.write_text(spoil(file.read_text()))
    index = tree / "results/mini/index/mini_pristine.csv"
    index.write_text(cut(index.read_text()))
    bad = snakemake(tree, "--keep-going", "all")
    for file in (tree / SCORES.format("laplacian"), tree / SCORES.format("piqe"), index):
        file.unlink()
    good = snakemake(tree, "all")
    return tree, bad, good


@pytest.mark.parametrize(
    ("method", "why"), [("laplacian", "not complete"), ("piqe", "not one row per image of the index, in its order")]
)
def test_a_damaged_score_file_is_named_with_the_remedy(damaged, finished_small, method, why):
    tree, bad, good = damaged
    assert bad.returncode != 0 and f"error: {SCORES.format(method)}: {why}" in output_of(bad)
    assert good.returncode == 0, output_of(good)
    assert_same(tree, finished_small)


def test_a_half_written_index_is_named_with_the_remedy(damaged):
    _, bad, _ = damaged
    assert (
        "error: results/mini/index/mini_pristine.csv: not complete (its last line is cut off); remove it"
        in output_of(bad)
    )


@pytest.mark.parametrize("file", ["weights", "record"])
def test_a_checkpoint_of_an_older_format(tree, finished_small, file):
    folder = tree / "results/mini/checkpoints/qualiclip"
    if file == "weights":
        weights = load_file(folder / "weights.safetensors")
        save_file({f"old.{k}": v for k, v in weights.items()}, folder / "weights.safetensors")
    else:
        (folder / "train.json").write_text('{"encoder": "rn-mini"}')
        (tree / SCORES.format("qualiclip")).unlink()
    done = snakemake(tree, SCORES.format("qualiclip"))
    assert done.returncode != 0 and "Traceback" not in output_of(done)
    assert "error: results/mini/checkpoints/qualiclip: not a checkpoint of this suite" in output_of(done)
    assert "remove that folder to train it again" in output_of(done)
    shutil.rmtree(folder)
    assert snakemake(tree, "all").returncode == 0
    assert_same(tree, finished_small)


def test_training_ignores_a_checkpoint_of_an_older_format(tree, finished_small):
    folder = tree / "results/mini/checkpoints/qualiclip"
    (folder / "weights.safetensors").unlink()
    torch.save({"epoch": 3, "state_dict": {}}, folder / "last.ckpt")
    done = snakemake(tree, "results/mini/checkpoints/qualiclip/weights.safetensors")
    assert done.returncode == 0 and "last.ckpt has an older format and is ignored" in output_of(done)
    assert products(tree) == products(finished_small)


def test_caches_that_cannot_be_written(tree, finished_small):
    for method in ("piqe", "qualiclip"):
        (tree / SCORES.format(method)).unlink()
    (tree / "results/mini/figures/overview.png").unlink()
    nowhere = "/dev/null/cache"
    caches = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME", "MPLCONFIGDIR"), nowhere)
    done = snakemake(tree, "all", **caches)
    assert done.returncode != 0 and nowhere in output_of(done), "Snakemake itself has one, and names it"
    done = snakemake(tree, "all", **caches | {"XDG_CACHE_HOME": str(tree / "cache")})
    assert done.returncode == 0, output_of(done)
    assert_same(tree, finished_small)
