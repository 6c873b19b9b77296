"""The model: images of any size, fixed prompts, checkpoints without pickle."""

from __future__ import annotations

import json

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from qualiclip.model import QualiCLIP
from qualiclip.prompts import PROMPT_PAIRS, prompt_features


@pytest.fixture(scope="module")
def model() -> QualiCLIP:
    return QualiCLIP.create("rn-mini", None, seed=3)


@pytest.mark.parametrize("size", [(64, 64), (97, 130), (256, 64)])
def test_any_size(model, size):
    score = model.score(torch.rand(2, 3, *size))
    assert score.shape == (2,) and ((score >= 0) & (score <= 1)).all()


def test_score_is_the_mean_probability_of_the_positive_prompts(model):
    images = torch.rand(1, 3, 64, 64)
    s = model.similarities(images)[0].double()
    by_hand = sum(torch.sigmoid(100 * (p - n)) for p, n in s) / len(s)
    assert float(model.score(images)) == pytest.approx(float(by_hand), abs=1e-9)


def test_seven_pairs_of_unit_features_positive_first(model):
    assert len(PROMPT_PAIRS) == 7 and model.prompts.shape == (7, 2, 64)
    assert torch.allclose(model.prompts.norm(dim=-1), torch.ones(7, 2))
    torch.manual_seed(3)
    clip = open_clip.create_model("rn-mini").eval()
    alone = prompt_features(clip, open_clip.get_tokenizer("rn-mini"), [("Good photo.", "Bad photo.")])
    assert torch.allclose(alone[0], model.prompts[0], atol=1e-6)


def test_a_checkpoint_gives_the_same_scores(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "train.json").write_text(json.dumps({"model": model.config}))
    images = torch.rand(2, 3, 80, 64)
    again = QualiCLIP.from_checkpoint(tmp_path)
    assert torch.equal(again.score(images), model.score(images)) and again.logit_scale == 100


def test_the_logit_scale_is_stored_in_checkpoints(tmp_path):
    sharp, soft = (QualiCLIP.create("rn-mini", None, logit_scale=scale) for scale in (100.0, 10.0))
    images = torch.rand(2, 3, 64, 64)
    assert not torch.equal(sharp.score(images), soft.score(images))
    save_file(soft.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "train.json").write_text(json.dumps({"model": soft.config}))
    assert torch.equal(QualiCLIP.from_checkpoint(tmp_path).score(images), soft.score(images))


def test_score_is_forward_without_gradients(model):
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.score(images), model(images))
    assert model(images).requires_grad and not model.score(images).requires_grad


def test_the_same_seed_gives_the_same_model(model):
    again = QualiCLIP.create("rn-mini", None, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True))
    other = QualiCLIP.create("rn-mini", None, seed=4)
    assert not torch.equal(other.encoder.conv1.weight, model.encoder.conv1.weight)
