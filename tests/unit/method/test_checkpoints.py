"""The released formats: the authors' checkpoint layout, scores equal to pyiqa's, and the fast encoder."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
import torch.nn.functional as F

from qualiclip.inference import fast
from qualiclip.model import CheckpointError, QualiCLIP

SIZES = [(224, 224), (96, 160), (131, 97), (256, 384), (64, 64)]


@pytest.fixture(scope="module")
def openai_clip():
    """pyiqa's CLIP RN50 with random weights, and batch norm statistics of images, as in a trained one."""
    from pyiqa.archs.clip_model import CLIP

    torch.manual_seed(0)
    clip = CLIP(1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 1).float()
    for name, parameter in clip.visual.named_parameters():
        if "bn" in name and name.endswith("weight"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif "bn" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    clip.logit_scale.data.fill_(math.log(100))  # as in OpenAI's weights
    clip.train()
    with torch.no_grad():
        for _ in range(2):
            clip.visual(torch.randn(4, 3, 96, 96))
    return clip.eval()


@pytest.fixture(scope="module")
def released(openai_clip, tmp_path_factory):
    """A file in the layout of the authors' qualiclip.pth."""
    path = tmp_path_factory.mktemp("weights") / "qualiclip.pth"
    state = {f"clip_model.{k}": v for k, v in openai_clip.state_dict().items()}
    torch.manual_seed(1)
    base = torch.randn(1, 1024)
    features = F.normalize(base + 0.5 * torch.randn(14, 1024), dim=-1)
    torch.save({**state, "prompts_features": features}, path)
    return path


def test_scores_equal_pyiqas(released, openai_clip, monkeypatch):
    from pyiqa.archs import qualiclip_arch

    monkeypatch.setattr(qualiclip_arch, "load", lambda *args: openai_clip)
    monkeypatch.setattr(qualiclip_arch, "load_file_from_url", lambda url: str(released))
    theirs = qualiclip_arch.QualiCLIP("qualiclip").eval()
    ours = QualiCLIP.from_checkpoint(released)
    ours.logit_scale /= 2  # pyiqa's temperature
    for size in SIZES:
        images = torch.rand(2, 3, *size)
        with torch.no_grad():
            expected = theirs(images).flatten()
        assert ours.score(images).float() == pytest.approx(expected, abs=1e-4), size


def test_scores_equal_the_hub_formula(released, openai_clip):
    """Logit scale 100, no temperature, mean over seven pairs of the positive prompt's probability."""
    ours = QualiCLIP.from_checkpoint(released)
    prompts = torch.load(released, weights_only=True)["prompts_features"]
    for size in SIZES:
        images = torch.rand(1, 3, *size)
        with torch.no_grad():
            features = F.normalize(openai_clip.visual((images - ours.mean) / ours.std), dim=-1)
        logits = (100 * features @ prompts.T).view(-1, 7, 2)
        expected = logits.softmax(-1)[..., 0].mean(-1)
        assert ours.score(images).float() == pytest.approx(expected, abs=1e-4), size


def test_the_fast_encoder_gives_the_same_scores(released):
    model = QualiCLIP.from_checkpoint(released)
    quick, rough = fast(model), fast(model, torch.bfloat16)
    for size in SIZES:
        images = torch.rand(2, 3, *size)
        assert quick.score(images) == pytest.approx(model.score(images), abs=1e-4)
        assert rough.score(images) == pytest.approx(model.score(images), abs=0.05)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("it ran",))

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match=r"evil\.pth: not a weights file .*more than tensors"):
        QualiCLIP.from_checkpoint(path)
    torch.save({"a": Evil()}, path)
    with pytest.raises(CheckpointError, match=r"not a weights file .*more than tensors"):
        QualiCLIP.from_checkpoint(path)


def test_a_checkpoint_of_another_architecture_is_named(tmp_path):
    torch.save({"clip_model.visual.conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth: neither"):
        QualiCLIP.from_checkpoint(tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="not a checkpoint of this suite"):
        QualiCLIP.from_checkpoint(tmp_path)
