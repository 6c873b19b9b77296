"""Speeds of this machine: a training step and a method are timed as a run would do them."""

from __future__ import annotations

import torch

from qualiclip.bench.plan import measure
from qualiclip.config import TRAIN_RECORD, WEIGHTS, TrainConfig
from qualiclip.model import QualiCLIP


def test_a_training_is_timed_and_leaves_a_model_that_scores(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "STEP_SECONDS", 0.0)
    config = TrainConfig(encoder="rn-mini", pretrained=None, crop=64, crop_pairs=2, types_per_pair=2)
    speed = measure.time_training(config, tmp_path, "cpu", tmp_path / "checkpoint")
    assert speed.start > 0 and speed.step > speed.forward > 0
    assert {f.name for f in (tmp_path / "checkpoint").iterdir()} == {WEIGHTS, TRAIN_RECORD}
    model = QualiCLIP.from_checkpoint(tmp_path / "checkpoint")
    assert model.score(torch.rand(1, 3, 64, 64)).isfinite().all()


def test_a_cost_is_a_line_through_the_seconds_of_two_sizes():
    cost = measure.through(1.0, 3.0)
    for (width, height), seconds in zip(measure.SIZES, (1.0, 3.0), strict=True):
        assert abs(cost.seconds(1, width * height / 1e6) - seconds) < 1e-9
    falling = measure.through(2.0, 1.0)
    assert falling.megapixel == 0 and falling.image == 2.0
