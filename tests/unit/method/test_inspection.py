"""`qualiclip inspect` on checkpoints whose training is known."""

from __future__ import annotations

import pickle

import open_clip
import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file

from qualiclip import inspection
from qualiclip.config import TrainConfig
from qualiclip.inspection import inspect, lines
from qualiclip.model import CheckpointError, QualiCLIP
from qualiclip.prompts import PROMPT_PAIRS, prompt_features
from qualiclip.tensors import to_image
from qualiclip.train import train

TINY = {"encoder": "rn-mini", "pretrained": None, "epochs": None, "crop": 64, "crop_pairs": 2, "precision": "float32"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, photos):
    """Checkpoints of one start: untrained, three steps in train mode, three steps frozen."""
    root = tmp_path_factory.mktemp("runs")
    files = []
    for i, photo in enumerate(photos[:4]):
        files.append(str(root / f"{i}.png"))
        to_image(photo).save(files[-1])
    settings = {
        "start": {"steps": 0, "norm_batches": 0},
        "train": {"steps": 3, "lr": 1e-3, "norm_batches": 0},
        "frozen": {"steps": 3, "lr": 1e-3, "batch_norm": "frozen"},
    }
    for name, changes in settings.items():
        train(TrainConfig(**TINY, **changes), files, root / name, "cpu")
    return root


def test_train_mode_steps_and_number_of_batches(runs):
    facts = inspect(runs / "train", runs / "start")
    assert facts["batch_norm"].startswith("train mode") and facts["batches_tracked"] == 3
    assert 1e-3 < facts["lr_times_steps_at_least"] < 3.3e-3, "three steps of at most about 1e-3"
    assert facts["weights"]["share_moved"] > 0.9 and facts["more_than_recalled_settings_allow"]
    assert "14 of 14" in facts["wording"] or "no text encoder" in facts["wording"]


def test_frozen_batch_norms(runs):
    facts = inspect(runs / "frozen", runs / "start")
    assert facts["batch_norm"].startswith("frozen") and facts["statistics"]["largest"] == 0
    assert facts["batches_tracked"] == 0


def test_a_file_beside_itself_is_equal(runs):
    facts = inspect(runs / "train", runs / "train")
    assert facts["equal_tensors"] == facts["common_tensors"] and facts["different_tensors"] == []
    assert any("common tensors are equal" in line for line in lines(facts))


def _small_clip() -> CLIP:
    """A CLIP with the conventions of OpenAI's: heads of 64 channels, quick GELU."""
    torch.manual_seed(0)
    vision = {"image_size": 64, "layers": (1, 1, 1, 1), "width": 8, "patch_size": None}
    text = {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 2}
    return CLIP(32, vision, text, quick_gelu=True).eval()


def _released(prompts: list[str]) -> dict[str, torch.Tensor]:
    """A file in the authors' layout, with its text encoder and the features of a list of prompts."""
    clip = _small_clip()
    with torch.no_grad():
        features = torch.nn.functional.normalize(clip.encode_text(open_clip.tokenize(prompts)), dim=-1)
    return {**{f"clip_model.{k}": v for k, v in clip.state_dict().items()}, "prompts_features": features}


@pytest.mark.parametrize("title", inspection._wordings(), ids=lambda t: t[:12])
def test_the_wording_of_stored_prompts_is_recognised(title, tmp_path):
    prompts = inspection._wordings()[title]
    torch.save(_released(prompts), tmp_path / "a.pth")
    facts = inspect(tmp_path / "a.pth")
    assert facts["prompts"] == len(prompts)
    assert facts["wording"] == f"{len(prompts)} of {len(prompts)} as in {title}"


def test_other_words_are_not_recognised(tmp_path):
    torch.save(_released([f"word {i}" for i in range(14)]), tmp_path / "a.pth")
    assert inspect(tmp_path / "a.pth")["wording"].startswith("0 of 14")


def test_layouts_of_different_libraries_are_compared_by_the_same_names(runs, tmp_path):
    model = QualiCLIP.create("rn-mini", None)
    visual = {f"visual.{k}": v.clone() for k, v in model.encoder.state_dict().items()}
    save_file(visual, tmp_path / "clip.safetensors")
    torch.save({"params": {f"clip_model.{k}": v for k, v in visual.items()}}, tmp_path / "pyiqa.pth")
    facts = inspect(tmp_path / "pyiqa.pth", tmp_path / "clip.safetensors")
    assert facts["equal_tensors"] == facts["common_tensors"] == len(visual)
    assert inspect(runs / "start", tmp_path / "clip.safetensors")["weights"]["largest"] == 0


def test_no_code_of_a_file_is_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"a": Evil()}, tmp_path / "evil2.pth")
    for name in ("evil.pth", "evil2.pth"):
        with pytest.raises(CheckpointError, match="cannot be read without running code"):
            inspect(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_files_without_anything_in_common_or_absent(runs, tmp_path):
    save_file({"something": torch.ones(3)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="no tensor of an image encoder in common"):
        inspect(runs / "start", tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        inspect(tmp_path / "nowhere.pth")


def test_the_features_of_our_prompts_are_those_of_prompts_py():
    clip = _small_clip()
    ours = prompt_features(clip, open_clip.tokenize, PROMPT_PAIRS).flatten(0, 1)
    prompts = [prompt for pair in PROMPT_PAIRS for prompt in pair]
    assert torch.allclose(ours, inspection._text_features(dict(clip.state_dict()), prompts), atol=1e-5)
