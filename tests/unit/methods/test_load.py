"""From a card to a method: what it is given, and why it is not run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.methods.contract import Batch, NotRun
from qualiclip.bench.methods.load import create
from qualiclip.io import DamagedFile
from qualiclip.model import QualiCLIP
from tests.support.cards import baseline, method_card
from tests.support.photos import batch_of


def test_the_noisy_oracle_is_the_label_and_noise():
    rng = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(400)]
    labels = pd.DataFrame({"image": names, "mos": rng.normal(50, 10, 400)})
    method = create(baseline("noisy-oracle"), labels=labels)
    many = Batch(torch.zeros(400, 3, 1, 1), names, [Path(n) for n in names])
    scores = method.score(many).numpy()
    assert np.corrcoef(scores, labels["mos"])[0, 1] == pytest.approx(1 / np.sqrt(1.25), abs=0.02)
    assert np.array_equal(method.score(many).numpy(), scores)


def test_jobs_make_the_same_metric_one_after_the_other(weight_cache, monkeypatch):
    import pyiqa

    events = []

    def make(name, device):
        events.append("starts")
        time.sleep(0.2)
        events.append("ends")

    monkeypatch.setattr(pyiqa, "create_metric", make)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: create(baseline("piqe")).load("cpu"), range(2)))
    assert events == ["starts", "ends"] * 2


def test_a_metric_that_pyiqa_has_not():
    with pytest.raises(CardError, match="pyiqa has no metric 'nothing'"):
        create(method_card(pyiqa="nothing")).load("cpu")


def test_a_method_of_gpus_alone_is_not_run_without(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotRun, match="it needs a GPU, and there is none here"):
        create(baseline("maclip")).load("cpu")


def test_a_card_that_says_why_it_is_not_run():
    with pytest.raises(NotRun, match="announced, not released"):
        create(baseline("sfd-iqa")).load("cpu")


def test_what_a_class_needs_and_is_not_given_is_named():
    with pytest.raises(CardError, match="it needs --fitted"):
        create(baseline("niqe-fit"))
    with pytest.raises(CardError, match=r"laplacian\.yaml: controls\.py:Laplacian: Laplacian\(\) takes no arguments"):
        create(baseline("laplacian").model_copy(update={"arguments": {"nothing": 1}}))
    with pytest.raises(CardError, match="there is nothing to run, its scores come from elsewhere"):
        create(baseline("precomputed-niqe"))


def test_a_checkpoint_that_is_none_is_to_be_trained_again(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"nothing")
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(DamagedFile, match="remove that folder to train it again"):
        create(method_card(variant="v"), checkpoint=tmp_path).load("cpu")


def test_the_method_of_a_variant_is_its_model(checkpoint, photos):
    method = create(baseline("qualiclip"), checkpoint=checkpoint)
    method.load("cpu")
    theirs = QualiCLIP.from_checkpoint(checkpoint)
    assert method.score(batch_of(photos[:2])) == pytest.approx(theirs.score(photos[:2]), abs=1e-5)
    assert method.features(batch_of(photos[:2])) == pytest.approx(theirs.encode(photos[:2]).detach(), abs=1e-5)
