"""Prompts with a context that is learned per split."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F

from qualiclip.bench.cards.base import load_function
from qualiclip.bench.methods.contract import NotRun, Part, Split
from qualiclip.clip import create_clip
from qualiclip.config import TRAIN_RECORD
from qualiclip.model import QualiCLIP
from qualiclip.prompts import LearnedPrompts, prompt_features
from tests.support.cards import BASELINES


def test_learned_prompts_go_through_the_text_encoder_of_open_clip():
    """With the embeddings of real tokens for a context, the features are those of the prompt written out."""
    clip, tokenizer = create_clip("rn-mini", None, 0), open_clip.get_tokenizer("rn-mini")
    pairs = (("Good photo.", "High-resolution image."), ("Sharp edges.", "Bad photo."))
    prompts = LearnedPrompts(clip, tokenizer, pairs, copies=2, tokens=4)
    texts = (
        [[f"a blue {p} house tree" for p in pair] for pair in pairs],
        [[f"to be {p} or not" for p in q] for q in pairs],
    )
    words = [["a", "blue", "house", "tree"], ["to", "be", "or", "not"]]
    with torch.no_grad():
        for k, four in enumerate(words):
            ids = torch.stack([tokenizer([w])[0, 1] for w in four])
            prompts.context[k] = clip.token_embedding(ids)
        features = prompts()
        for k, written in enumerate(texts):
            theirs = F.normalize(clip.encode_text(tokenizer([p for pair in written for p in pair])), dim=-1)
            assert torch.allclose(features[k], theirs.unflatten(0, (2, 2)), atol=1e-5)


def test_the_text_encoder_of_a_checkpoint_is_drawn_again(checkpoint):
    """Random weights are not stored, but come from the seed: the checkpoint's own prompts come out of them."""
    train = json.loads((checkpoint / TRAIN_RECORD).read_text())["train"]
    clip = create_clip(train["encoder"], train["pretrained"], train["seed"])
    prompts = prompt_features(clip, open_clip.get_tokenizer(train["encoder"]))
    assert torch.equal(prompts, QualiCLIP.from_checkpoint(checkpoint).prompts)


def test_weights_of_the_text_encoder_are_looked_for_in_the_mirror(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(open_clip.pretrained, "download_pretrained_from_hf", offline)
    record = {"train": {"encoder": "RN50-quickgelu", "pretrained": "openai", "seed": 0}}
    (tmp_path / TRAIN_RECORD).write_text(json.dumps(record))
    place = re.escape(str(tmp_path / "mirror/timm/resnet50_clip.openai.safetensors"))
    with pytest.raises(NotRun, match=f"put its model.safetensors at {place}"):
        load_function("coop.py:LearnedContext", BASELINES)(tmp_path, tmp_path / "mirror").fit([unit(8, 0)], "cpu")


def contexts(checkpoint: Path, splits: list[Split], epochs: float = 20):
    """The method, fitted to the splits."""
    method = load_function("coop.py:LearnedContext", BASELINES)(checkpoint, None, pairs=1, epochs=epochs)
    method.fit(splits, "cpu")
    return method


def unit(n: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 64)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    mos = x[:, 0] - x[:, 0].min()
    return Split(Part(x, mos / mos.max()), Part(x[:0], mos[:0]))


def test_learned_prompts_learn_and_do_not_change_from_run_to_run(checkpoint):
    one = contexts(checkpoint, [unit(64, 0)])
    loss = one.learned()["loss"][0]
    assert loss[-16:].mean() < 0.6 * loss[:16].mean()
    again = contexts(checkpoint, [unit(64, 0)])
    assert np.array_equal(one.learned()["context"], again.learned()["context"])
    assert one.learned()["context"].shape == (1, 1, 2, 16, 64)


def test_the_context_of_a_split_does_not_depend_on_the_others(checkpoint):
    first, second = (contexts(checkpoint, [unit(40, 0), unit(n, seed)], 5) for n, seed in ((40, 1), (32, 2)))
    assert np.allclose(first.learned()["context"][0], second.learned()["context"][0], atol=1e-6)
    assert not np.allclose(first.learned()["context"][1], second.learned()["context"][1], atol=1e-3)


def test_every_epoch_is_a_permutation():
    rows = load_function("coop.py:batches", BASELINES)([16, 12], 6, torch.Generator().manual_seed(0))
    assert rows.shape == (6, 2, 8)
    assert sorted(rows[:2, 0].flatten().tolist()) == list(range(16))
    assert sorted(rows[:, 1].flatten().tolist()[:12]) == list(range(12))
