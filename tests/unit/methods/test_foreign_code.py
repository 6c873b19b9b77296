"""A file of weights that would run code: wherever one is read nothing runs, and one line says why."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from qualiclip.bench.cards.base import read_cards
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.methods import weights
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.methods.library_patches import from_mirror, weights_or_not_run
from qualiclip.bench.methods.load import create
from qualiclip.config import WEIGHTS
from qualiclip.inspection import inspect
from qualiclip.io import sha256
from qualiclip.model import CheckpointError, QualiCLIP
from tests.support.cards import BASELINES, baseline, method_card


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.fixture
def evil(tmp_path):
    """Writes an evil file; after the test nothing has run."""
    trace = tmp_path / "code ran"

    def write(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"params": {"x": torch.ones(1)}, "evil": Evil(trace)}, path)
        return path

    yield write
    assert not trace.exists(), "code of the file ran"


@pytest.fixture
def unnamed(monkeypatch):
    """The evil files are not those that the released names state: let only their content be judged."""
    monkeypatch.setattr(weights, "NAMED_HASH", re.compile("(?!)"))


def pyiqa_file(name: str) -> str:
    """The file of a metric of pyiqa that is its own, rather than that of a backbone."""
    return baseline(name).weights[-1]


# Metrics of pyiqa, one for each place that reads a file; hub.py; and GRepQ's three files.
PLACES = {
    "cnniqa": pyiqa_file("cnniqa"),  # the common loader
    "brisque": pyiqa_file("brisque"),
    "wadiqam_nr": pyiqa_file("wadiqam_nr"),
    "clipiqa+": "pyiqa/RN50.pt",  # a TorchScript archive
    "qualiclip-hub": "pyiqa/qualiclip.pth",
}


@pytest.mark.parametrize("name", PLACES)
def test_a_method_with_an_evil_file_is_not_run(name, evil, unnamed, weight_cache, tmp_path, monkeypatch):
    from pyiqa.archs import clip_model

    file = evil(tmp_path / "mirror" / PLACES[name])
    if file.name in ("RN50.pt",):  # its address states a SHA-256, which is checked before: here, the evil file's
        monkeypatch.setitem(clip_model._MODELS, "RN50", f"https://x.invalid/{sha256(file)}/RN50.pt")
    with pytest.raises(NotRun) as e:
        create(baseline(name), mirror=tmp_path / "mirror").load("cpu")
    assert "\n" not in str(e.value) and re.search(r"holds? more than tensors|not a weights file", str(e.value))


def test_a_file_that_its_name_or_address_does_not_state_is_refused_before_it_is_read(evil, weight_cache, tmp_path):
    for name, file in (("cnniqa", pyiqa_file("cnniqa")), ("clipiqa+", "pyiqa/RN50.pt")):
        path = evil(tmp_path / "mirror" / file)
        with pytest.raises(NotRun, match=rf"{re.escape(path.name)}: SHA-256 [0-9a-f]{{64}}, the card"):
            create(baseline(name), mirror=tmp_path / "mirror").load("cpu")


def test_the_hash_of_a_name_is_checked_in_the_cache_too(tmp_path):
    (tmp_path / "mirror/pyiqa").mkdir(parents=True)
    file = tmp_path / "mirror/pyiqa/x.pth"
    file.write_bytes(b"weights")
    right = file.rename(file.with_name(f"x-{sha256(file)[:8]}.pth"))
    placed = weights.place(right.name, tmp_path / "cache", tmp_path / "mirror")
    assert placed.read_bytes() == b"weights"
    placed.write_bytes(b"other")
    with pytest.raises(FetchError, match="SHA-256"):
        weights.place(right.name, tmp_path / "cache", tmp_path / "mirror")
    with pytest.raises(FetchError, match=r"http://x/y\.pth is not https"):
        weights.place("y.pth", tmp_path / "cache", url="http://x/y.pth")


def test_torch_reads_tensors_only_inside_and_as_before_outside(evil, tmp_path):
    good, bad = tmp_path / "good.pth", evil(tmp_path / "bad.pth")
    torch.save({"a": torch.ones(2), "epoch": 3}, good)
    before = torch.load
    with from_mirror(None):
        assert len(torch.load(good, weights_only=False)["a"]) == 2
    with pytest.raises(NotRun, match=r"bad\.pth: damaged, or it holds more than tensors"), weights_or_not_run(None):
        torch.load(bad, weights_only=False)
    assert torch.load is before


def test_checkpoints_and_their_inspection_run_nothing(evil, tmp_path):
    file = evil(tmp_path / "qualiclip.pth")
    folder = tmp_path / "folder"
    evil(folder / WEIGHTS)
    (folder / "train.json").write_text('{"model": {}}')
    for read in (QualiCLIP.from_checkpoint, lambda p: inspect(p, file)):
        for path in (file, folder):
            with pytest.raises(CheckpointError):
                read(path)


def test_what_a_fit_has_written_runs_nothing(evil, tmp_path):
    trace = tmp_path / "code ran"
    with (tmp_path / "fitted").open("wb") as f:
        np.savez(f, mean=np.array([Evil(trace)], object), covariance=np.eye(1))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        create(baseline("niqe-fit"), fitted=tmp_path / "fitted").load("cpu")
    assert not trace.exists()


# Code that a card says its method brings.


def test_a_method_that_brings_code_waits_for_the_user(tmp_path):
    card = method_card("q", pyiqa="piqe", runs_code="somebody on a hub")
    with pytest.raises(NotRun, match=r"it runs code of somebody on a hub; if you trust it, give trust=\[q\]"):
        create(card).load("cpu")
    create(card, trusted=True).load("cpu")
    assert card.score_digest() == method_card("q", pyiqa="piqe").score_digest()


def test_trust_lets_a_file_run_its_code(tmp_path):
    trace = tmp_path / "code ran"
    torch.save(Evil(trace), tmp_path / "x.pth")
    with weights_or_not_run(None, trusted=True):
        torch.load(tmp_path / "x.pth", weights_only=False)
    assert trace.exists()


def test_cards_say_which_metrics_load_code():
    """Those of pyiqa whose architecture asks transformers to trust the code of a repository."""
    import pyiqa.archs
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    texts = [f.read_text() for f in Path(pyiqa.archs.__file__).parent.glob("*_arch.py")]
    kinds = {k for t in texts if "trust_remote_code" in t for k in re.findall(r"^class (\w+)", t, re.MULTILINE)}
    trusting = {name for name, c in DEFAULT_CONFIGS.items() if c["metric_opts"]["type"] in kinds}
    cards = read_cards(MethodCard, BASELINES).values()
    assert "qalign" in trusting
    assert {c.name for c in cards if c.runs_code} == {c.name for c in cards if c.pyiqa in trusting}
