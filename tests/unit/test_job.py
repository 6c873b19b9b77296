"""How jobs end, and the record that they leave."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from qualiclip.bench import job, provenance
from qualiclip.bench.cards.base import CardError
from qualiclip.bench.paths import sidecar
from qualiclip.io import DamagedFile, atomic, sha256
from tests.support.cards import dataset_card, method_card
from tests.support.commands import ROOT


def test_a_job_that_finds_the_disk_full_says_so_in_one_line(tmp_path):
    def main():
        with atomic(tmp_path / "out.csv"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(SystemExit, match=r"^error: .*out\.csv: No space left on device; free some space, then run"):
        job.run(main)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [CardError("x.yaml: unknown key 'y'"), DamagedFile("s.csv: not complete")])
def test_an_error_that_a_user_can_mend_is_one_line(error):
    def main():
        raise error

    with pytest.raises(SystemExit, match=rf"^error: {error}$"):
        job.run(main)


def test_a_defect_keeps_its_traceback(tmp_path):
    def main():
        with atomic(tmp_path / "out.csv"):
            raise FileNotFoundError(errno.ENOENT, "no such file", "photo.png")

    with pytest.raises(FileNotFoundError, match=r"photo\.png"):
        job.run(main)


def test_arguments_are_shared_and_can_be_changed():
    parser = job.parser("d", "method", "--index", "--checkpoint", "--out", checkpoint={"required": True})
    words = ["m.yaml", "--index", "i.csv", "--checkpoint", "c", "--out", "o.csv"]
    assert str(parser.parse_args(words).checkpoint) == "c"
    with pytest.raises(SystemExit):
        parser.parse_args([w for w in words if w not in ("--checkpoint", "c")])


def test_a_terminated_job_runs_its_cleanup():
    code = "from qualiclip.bench import job; import os, signal; job.exit_on_sigterm()\n"
    code += "try:\n    os.kill(os.getpid(), signal.SIGTERM)\nfinally:\n    print('kept')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (143, "kept\n")


def test_the_record_of_a_job(tmp_path):
    index, weights, out = (tmp_path / name for name in ("i.csv", "weights", "s.csv"))
    for file in (index, weights, out):
        file.write_text(file.name)
    job.record(out, method_card(), dataset_card(), index, weights, failed=3)
    facts = provenance.read(out)
    assert json.loads(sidecar(out).read_text()) == facts and sidecar(out).name == "s.csv.provenance.json"
    assert (facts["method"], facts["dataset"], facts["failed"]) == ("m", "myset", 3)
    assert facts["card"] == method_card().score_digest()
    assert (facts["index"], facts["checkpoint"]) == (sha256(index), sha256(weights))
    assert facts["cpu_seconds"] > 0 and facts["peak_memory_mb"] > 10
    assert {"torch", "numpy"} <= set(facts["packages"]) and facts["revision"] and facts["python"]


def test_a_record_that_is_absent_or_not_complete_is_empty(tmp_path):
    assert provenance.read(tmp_path / "x.csv") == {}
    (tmp_path / "x.csv.provenance.json").write_text('{"a": ')
    assert provenance.read(tmp_path / "x.csv") == {}


def test_jobs_at_the_same_time_use_different_gpus(tmp_path, monkeypatch):
    """With three simulated GPUs: the fourth job shares one, and what a job held is free after it."""
    uuids, chosen = ["a", "b", "c"], []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(uuids))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: SimpleNamespace(uuid=uuids[i]))
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(job.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(job, "_held", [])
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert [job.device("auto") for _ in range(4)] == ["cuda"] * 4
    assert chosen[:3] == [0, 1, 2] and chosen[3] in range(3) and os.environ["LOCAL_RANK"] == str(chosen[3])
    job._held[1].release()
    job.device("cuda")
    assert chosen[4] == 1
    job._held[0].release()
    uuids[:] = ["b", "a"]  # as another job of a cluster sees them
    job.device("cuda")
    assert chosen[5] == 1 and job.device("cpu") == "cpu"
    uuids[:] = ["a"]
    job.device("cuda")
    assert len(chosen) == 6
