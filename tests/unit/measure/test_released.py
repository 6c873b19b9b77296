"""The table of released weights, from files whose training is known."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from qualiclip.bench.measure import released
from qualiclip.bench.methods import weights
from qualiclip.model import QualiCLIP


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror with the three files: a start, and a training of one step in train mode, stored twice."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "mirror"
    (folder / "timm").mkdir(parents=True)
    (folder / "pyiqa").mkdir()
    model = QualiCLIP.create("rn-mini", None)
    start = {f"visual.{k}": v.clone() for k, v in model.encoder.state_dict().items()}
    save_file(start, folder / "timm/resnet50_clip.openai.safetensors")
    model.encoder.train()(torch.rand(2, 3, 64, 64))
    with torch.no_grad():
        model.encoder.conv1.weight += 1e-4
    trained = {f"clip_model.visual.{k}": v for k, v in model.encoder.state_dict().items()}
    for name in ("qualiclip.pth", "QualiCLIP.pth"):
        torch.save({**trained, "prompts_features": model.prompts.flatten(0, 1)}, folder / "pyiqa" / name)
    return folder


def test_what_the_files_say(mirror):
    rows = {r["title"]: r for r in released.compare(mirror)}
    release = rows["the authors' release beside OpenAI's RN50"]
    assert release["batch_norm"].startswith("train mode") and release["batches_tracked"] == 1
    assert release["lr_times_steps_at_least"] == pytest.approx(1e-4, rel=1e-3)
    assert release["more_than_recalled_settings_allow"]
    same = rows["pyiqa's file beside the authors' release"]
    assert same["equal_tensors"] == same["common_tensors"] > 50


def test_a_missing_file_is_a_row_that_says_what_to_do(mirror, monkeypatch):
    (mirror / "pyiqa/QualiCLIP.pth").unlink()
    monkeypatch.setattr(weights, "SOURCES", {"pyiqa": "http://127.0.0.1:9/{file}"})
    monkeypatch.setattr("qualiclip.bench.data.download.DELAYS", ())
    rows = released.compare(mirror)
    assert [bool(r["reason"]) for r in rows] == [False, True, True]
    assert f"put it at {mirror}/pyiqa/QualiCLIP.pth" in rows[1]["reason"]
    assert json.dumps(rows)
