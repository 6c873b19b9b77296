"""Two processes train as one: losses, weights and statistics; also when they are killed and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from qualiclip.tensors import to_image

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import hashlib, json, sys
from pathlib import Path
import torch
from qualiclip import train as training
from qualiclip.config import TrainConfig
from qualiclip.distributed import RANK

torch.set_num_threads(1)
config, files, out, stop = json.loads(sys.argv[1])
update = training.Run.update

def stopping(self, *args):
    if self.step == stop:
        raise KeyboardInterrupt
    return update(self, *args)

training.Run.update = stopping
finish = training.estimate_statistics

def remember(run, *args):
    finish(run, *args)
    state = b"".join(v.contiguous().numpy().tobytes() for v in run.model.state_dict().values())
    Path(out).with_name(f"{Path(out).name}.rank{RANK}").write_text(hashlib.sha256(state).hexdigest())

training.estimate_statistics = remember
training.train(TrainConfig(**config), files, Path(out), "cpu")
"""
CONFIG = {
    "encoder": "rn-mini",
    "pretrained": None,
    "epochs": None,
    "steps": 4,
    "crop": 64,
    "crop_pairs": 4,
    "lr": 1e-5,  # Adam divides by the gradient: rounding decides the sign of what is nearly zero, and grows
    "lambda_across": 1.0,
    "precision": "float32",
    "checkpoint_every": 2,
    "norm_batches": 2,
    "generator": "kadid",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory, photos) -> list[str]:
    folder = tmp_path_factory.mktemp("pristine")
    for i, photo in enumerate(photos[:8]):
        to_image(photo).save(folder / f"{i}.png")
    return sorted(str(p) for p in folder.iterdir())


def run(files: list[str], out: Path, processes: int, stop: int = -1, **changes) -> int:
    """Train under torchrun, or in one process; returns the exit status."""
    script = out.parent / "script.py"
    script.write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = json.dumps([{**CONFIG, **changes}, files, str(out), stop])
    done = subprocess.run([*command, arguments], env=environment, capture_output=True, text=True, check=False)
    assert stop >= 0 or done.returncode == 0, done.stderr[-3000:]
    return done.returncode


@pytest.fixture(scope="module")
def finished(files, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    run(files, root / "start", 1, steps=0)
    run(files, root / "one", 1)
    run(files, root / "two", 2)
    return root


def test_losses_and_weights_are_those_of_one_process(finished):
    one, two = (json.loads((finished / n / "train.json").read_text()) for n in ("one", "two"))
    for a, b in zip(one["curve"], two["curve"], strict=True):
        assert a == pytest.approx(b, abs=5e-5)
    start, a, b = (load_file(finished / n / "weights.safetensors") for n in ("start", "one", "two"))
    moved = [torch.cat([(x[k] - start[k]).flatten().double() for k in x if k.endswith("weight")]) for x in (a, b)]
    assert torch.nn.functional.cosine_similarity(*moved, dim=0) > 0.99
    for name in (n for n in a if "running" in n):
        assert torch.allclose(a[name], b[name], rtol=1e-3, atol=1e-4), name
    assert one["rank_consistency"] == pytest.approx(two["rank_consistency"], abs=0.02)


def test_weights_and_statistics_are_equal_on_all_processes(finished):
    digests = [p.read_text() for p in sorted(finished.glob("two.rank*"))]
    assert len(digests) == 2 and len(set(digests)) == 1


def test_killed_and_resumed_the_weights_are_the_same(files, finished):
    out = finished / "killed"
    assert run(files, out, 2, stop=3) != 0 and not (out / "weights.safetensors").exists()
    run(files, out, 2)
    assert (out / "weights.safetensors").read_bytes() == (finished / "two/weights.safetensors").read_bytes()
