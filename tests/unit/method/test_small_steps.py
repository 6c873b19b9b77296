"""What training is at a tiny learning rate: weights, batch-norm statistics, and photos that cannot be read."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from qualiclip import batch_norm
from qualiclip import train as training
from qualiclip.config import TrainConfig
from qualiclip.crops import CropPairs
from qualiclip.model import QualiCLIP
from qualiclip.tensors import to_image
from qualiclip.train import train
from qualiclip.updates import AdamW, movable_share

TINY = {"encoder": "rn-mini", "pretrained": None, "epochs": None, "crop": 64, "crop_pairs": 2, "precision": "float32"}


@pytest.fixture(scope="module")
def files(tmp_path_factory, photos) -> list[str]:
    folder = tmp_path_factory.mktemp("pristine")
    for i, photo in enumerate(photos[:6]):
        to_image(photo).save(folder / f"{i}.png")
    return sorted(str(p) for p in folder.iterdir())


def test_the_movable_share_of_weights_whose_neighbours_are_known():
    # around 1, float32 numbers are 1.2e-7 apart above and 6e-8 below: half of that is rounded away
    p = torch.nn.Parameter(torch.tensor([1.0, 2**-20]))
    assert movable_share([p], 1e-9) == 0.5
    assert movable_share([p], 1e-6) == 1.0


def test_master_weights_follow_a_float64_run_where_float32_does_not():
    """120 steps at lr 1e-9 on random gradients: direction and length of the movement."""

    def movement(optimizer_of, dtype):
        w0 = torch.randn(20_000, generator=torch.Generator().manual_seed(0)).mul(0.05).to(dtype)
        p = torch.nn.Parameter(w0.clone())
        optimizer = optimizer_of(p)
        g = torch.Generator().manual_seed(1)
        mean = torch.randn(20_000, generator=g)
        for _ in range(120):
            p.grad = (mean + 3 * torch.randn(20_000, generator=g)).to(dtype)
            optimizer.step()
        moved = getattr(optimizer, "master", None)
        return (moved[0] if moved else p.detach()).double() - w0.double()

    truth = movement(lambda p: torch.optim.AdamW([p], lr=1e-9, weight_decay=1e-2), torch.float64)
    ours = movement(lambda p: AdamW([p], 1e-9, 1e-2), torch.float32)
    plain = movement(lambda p: torch.optim.AdamW([p], lr=1e-9, weight_decay=1e-2), torch.float32)
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(ours, truth, dim=0) > 0.99 and ours.abs().sum() / truth.abs().sum() > 0.95
    assert plain.abs().sum() / truth.abs().sum() < 0.8, "float32 alone loses what this is for"


def test_large_steps_use_plain_float32(capsys):
    assert AdamW([torch.nn.Parameter(torch.ones(3))], 1e-3, 0).master is None and not capsys.readouterr().err
    assert AdamW([torch.nn.Parameter(torch.ones(3))], 1e-9, 0).master is not None
    assert "0% of the weights; they are kept in float64" in capsys.readouterr().err


def test_a_resumed_tiny_step_run_ends_with_the_same_weights(files, tmp_path, monkeypatch):
    c = TrainConfig(**TINY, steps=4, lr=1e-9, checkpoint_every=2, norm_batches=2)
    train(c, files, tmp_path / "whole", "cpu")
    whole = training.Run.update

    def update(self, *args):
        if self.step == 3:
            raise KeyboardInterrupt
        return whole(self, *args)

    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
        m.setattr(training.Run, "update", update)
        train(c, files, tmp_path / "killed", "cpu")
    train(c, files, tmp_path / "killed", "cpu")
    a, b = ((tmp_path / n / "weights.safetensors").read_bytes() for n in ("whole", "killed"))
    assert a == b


def test_frozen_statistics_do_not_move_and_trained_ones_are_recorded(files, tmp_path):
    frozen = train(TrainConfig(**TINY, steps=2, lr=1e-3, batch_norm="frozen"), files, tmp_path / "frozen", "cpu")
    assert frozen["batch_norm"] == {"mean": 0.0, "log_std": 0.0}
    assert frozen["weights"]["share_moved"] > 0.9 and frozen["weights"]["relative_change"] > 0
    moved = train(TrainConfig(**TINY, steps=2, lr=1e-3, norm_batches=3), files, tmp_path / "moved", "cpu")
    assert moved["batch_norm"]["mean"] > 0.01
    assert json.loads((tmp_path / "moved/train.json").read_text())["batch_norm"] == moved["batch_norm"]


def test_norms_frozen_part_way_keep_the_statistics_of_that_step(files, tmp_path, monkeypatch):
    """Half the run moves the statistics; the second half, and its end, leave those that were estimated between."""
    c = TrainConfig(**TINY, steps=4, lr=1e-3, norm_batches=2, freeze_norms_at=0.5, checkpoint_every=3)
    estimated, seen, whole = training.estimate_statistics, [], training.Run.update

    def estimate(run, model, *args):
        estimated(run, model, *args)
        seen.append((run.step, batch_norm.statistics(model.encoder)))

    def killed_at_3(self, *args):
        if self.step == 3 and len(seen) == 1:
            raise KeyboardInterrupt
        return whole(self, *args)

    monkeypatch.setattr(training, "estimate_statistics", estimate)
    train(c, files, tmp_path / "whole", "cpu")
    assert [step for step, _ in seen] == [2], "once, and not at the end"
    end = batch_norm.statistics(QualiCLIP.from_checkpoint(tmp_path / "whole").encoder)
    assert all(torch.equal(a, b) for name, both in seen[0][1].items() for a, b in zip(both, end[name], strict=True))
    # a killed run does not estimate them again
    seen.clear()
    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
        m.setattr(training.Run, "update", killed_at_3)
        train(c, files, tmp_path / "killed", "cpu")
    train(c, files, tmp_path / "killed", "cpu")
    a, b = ((tmp_path / n / "weights.safetensors").read_bytes() for n in ("whole", "killed"))
    assert a == b and [step for step, _ in seen] == [2]


def test_no_step_and_new_statistics_is_a_control_of_its_own(files, tmp_path):
    """bn-only: the weights of the start, the statistics of the training images."""
    untrained = train(TrainConfig(**TINY, steps=0, norm_batches=0), files, tmp_path / "untrained", "cpu")
    only = train(TrainConfig(**TINY, steps=0, norm_batches=4), files, tmp_path / "only", "cpu")
    assert untrained["batch_norm"] == {"mean": 0.0, "log_std": 0.0}
    assert only["weights"]["share_moved"] == 0 and only["batch_norm"]["mean"] > 0.01
    assert only["rank_consistency_before"] == untrained["rank_consistency"]


def test_estimated_statistics_are_the_means_over_the_batches():
    encoder = QualiCLIP.create("rn-mini", None).encoder
    first = next(iter(batch_norm.layers(encoder).values()))
    batches = [torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    conv = copy.deepcopy(encoder.conv1)
    batch_norm.estimate(encoder, batches)
    outputs = [conv(x) for x in batches]
    expected = torch.stack([y.mean((0, 2, 3)) for y in outputs]).mean(0)
    assert torch.allclose(first.running_mean, expected, atol=1e-5)
    variance = torch.stack([y.var((0, 2, 3)) for y in outputs]).mean(0)
    assert torch.allclose(first.running_var, variance, atol=1e-4)
    assert not encoder.training and first.momentum == 0.1


def test_a_truncated_photo_is_replaced_and_named(files, tmp_path):
    bad = tmp_path / "cut.png"
    whole = Path(files[0]).read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    c = TrainConfig(**TINY, steps=6, lr=1e-3, norm_batches=0, holdout=0.2, seed=3)
    record = train(c, [*files, str(bad)], tmp_path / "out", "cpu")
    assert record["steps"] == 6
    assert [u.split(":")[0] for u in record["contents"]["unreadable"]] == [str(bad)]
    again = train(c, [*files, str(bad)], tmp_path / "again", "cpu")
    assert again["curve"] == record["curve"]


def test_where_no_photo_can_be_read_training_says_so(tmp_path):
    bad = tmp_path / "cut.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError, match="photos in a row cannot be decoded; the last is"):
        CropPairs([str(bad)], TrainConfig(**TINY, steps=1))[0]


def test_an_epoch_shows_every_photo_once_whatever_their_number():
    n, c = 140_000, TrainConfig(**{**TINY, "crop_pairs": 16}, steps=1)
    pairs = CropPairs([str(i) for i in range(n)], c)
    drawn = [pairs.pick(step, i) for step in range(n // 16) for i in range(16)]
    assert len(set(drawn)) == n
