"""A vision-language model scored by its level tokens, on a tiny random model of a real architecture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from qualiclip.bench.cards.base import METHODS, load_function
from qualiclip.bench.methods.contract import Batch, NotRun
from qualiclip.tensors import to_image
from tests.support import tiny_models
from tests.support.commands import ROOT

LevelTokens = load_function("vlm.py:LevelTokens", ROOT / METHODS)
level_ids = load_function("vlm.py:level_ids", ROOT / METHODS)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qwen")
    tiny_models.qwen2_5_vl(folder)
    method = LevelTokens(str(folder))
    method.load("cpu")
    return method


def batch(images: torch.Tensor) -> Batch:
    return Batch(images, [], [])


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 90, 70, generator=torch.Generator().manual_seed(0))


def test_scores_are_the_expected_level(scorer, images):
    """Against the recipe written out: one image, the whole vocabulary, five logits, a softmax, their mean."""
    scores = scorer.score(batch(images))
    assert scores.shape == (3,) and ((scores > 0) & (scores < 1)).all()
    assert np.ptp(scores.numpy()) > 1e-4, "the image does not matter"
    tokenizer = scorer.processor.tokenizer
    text = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>How would you rate the quality of this image?"
    text += "<|im_end|>\n<|im_start|>assistant\nThe quality of the image is"
    inputs = scorer.processor(text=[text], images=[to_image(images[1])], return_tensors="pt")
    with torch.no_grad():
        logits = scorer.model(**inputs).logits[0, -1].double()
    words = [" excellent", " good", " fair", " poor", " bad"]
    odds = [float(torch.exp(logits[tokenizer(w, add_special_tokens=False)["input_ids"][0]])) for w in words]
    expected = sum(w * o for w, o in zip((1, 0.75, 0.5, 0.25, 0), odds, strict=True)) / sum(odds)
    assert scores[1].item() == pytest.approx(expected, abs=1e-6)


def test_an_image_scores_alike_alone_and_in_a_batch(scorer, images):
    together = scorer.score(batch(images))
    alone = torch.cat([scorer.score(batch(image[None])) for image in images])
    assert together == pytest.approx(alone, abs=1e-5)


def test_grey_and_twelve_megapixels(scorer):
    grey = torch.rand(1, 1, 60, 80).expand(1, 3, 60, 80)
    large = Image.effect_noise((4000, 3000), 40).convert("RGB")
    large = torch.from_numpy(np.array(large)).permute(2, 0, 1)[None].float() / 255
    for image in (grey, large):
        assert scorer.score(batch(image)).isfinite().all()


def test_levels_that_begin_alike_are_refused():
    class Bytes:
        def __call__(self, text, add_special_tokens):
            return {"input_ids": list(text.encode())}

    with pytest.raises(NotRun, match="begins several of the words excellent"):
        level_ids(Bytes())


def test_a_model_that_is_nowhere_is_not_run(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(NotRun, match="could not be loaded"):
        LevelTokens("nobody/nothing").load("cpu")
