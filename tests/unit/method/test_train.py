"""Training: it is seeded, it can be resumed, and it learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from qualiclip import crops as cropping
from qualiclip import train as training
from qualiclip.config import TrainConfig
from qualiclip.crops import Batch, CropPairs, degraded_batches, generator, held_out
from qualiclip.tensors import to_image
from qualiclip.train import CHECKPOINT, train
from tests.support.commands import run


@pytest.fixture(scope="module")
def files(tmp_path_factory, photos) -> list[str]:
    folder = tmp_path_factory.mktemp("pristine")
    for i, photo in enumerate(photos[:6]):
        to_image(photo).save(folder / f"{i}.png")
    return sorted(str(p) for p in folder.iterdir())


def config(**changes) -> TrainConfig:
    base = {"encoder": "rn-mini", "pretrained": None, "epochs": None, "steps": 4, "crop": 64, "crop_pairs": 2}
    return TrainConfig(**{**base, "lr": 1e-3, "ema_decay": 0.9, "checkpoint_every": 2, "holdout": 0.2, **changes})


def test_two_runs_give_the_same_weights(files, tmp_path):
    train(config(), files, tmp_path / "a", "cpu")
    train(config(), files, tmp_path / "b", "cpu")
    assert (tmp_path / "a/weights.safetensors").read_bytes() == (tmp_path / "b/weights.safetensors").read_bytes()
    assert not list((tmp_path / "a").glob("last.ckpt*")), "no checkpoint is left to resume from"


class Killed(BaseException):
    pass


def killed_at(step: int, monkeypatch, files, out, c) -> None:
    whole = training.Run.update

    def update(self, *args):
        if self.step == step:
            raise Killed
        return whole(self, *args)

    with monkeypatch.context() as m:
        m.setattr(training.Run, "update", update)
        with pytest.raises(Killed):
            train(c, files, out, "cpu")


def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(files, tmp_path, monkeypatch):
    train(config(), files, tmp_path / "whole", "cpu")
    killed_at(3, monkeypatch, files, tmp_path / "killed", config())
    assert (tmp_path / "killed" / CHECKPOINT).exists()
    assert not (tmp_path / "killed/weights.safetensors").exists()
    train(config(), files, tmp_path / "killed", "cpu")
    whole, resumed = (load_file(tmp_path / n / "weights.safetensors") for n in ("whole", "killed"))
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)
    curves = [json.loads((tmp_path / n / "train.json").read_text())["curve"] for n in ("whole", "killed")]
    assert curves[0] == curves[1]


def test_a_checkpoint_cut_short_is_named_and_the_previous_one_is_used(files, tmp_path, monkeypatch, capsys):
    c = config(steps=6)
    train(c, files, tmp_path / "whole", "cpu")
    killed_at(5, monkeypatch, files, tmp_path / "killed", c)
    last = tmp_path / "killed" / CHECKPOINT
    last.write_bytes(last.read_bytes()[:1000])
    train(c, files, tmp_path / "killed", "cpu")
    output = capsys.readouterr().err
    assert f"{last} is damaged" in output and "resuming from" in output and "step 2" in output
    assert (tmp_path / "whole/weights.safetensors").read_bytes() == (
        tmp_path / "killed/weights.safetensors"
    ).read_bytes()


def test_a_checkpoint_of_another_configuration_is_ignored(files, tmp_path, monkeypatch, capsys):
    killed_at(3, monkeypatch, files, tmp_path, config())
    train(config(lr=2e-3), files, tmp_path, "cpu")
    assert "another configuration and is ignored" in capsys.readouterr().err


def test_zero_steps_is_the_untrained_encoder(files, tmp_path):
    train(config(steps=0, norm_batches=0), files, tmp_path, "cpu")
    expected = training.QualiCLIP.create("rn-mini", None).state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in load_file(tmp_path / "weights.safetensors").items())


def test_the_loss_falls_on_one_easy_type(files, tmp_path, monkeypatch):
    monkeypatch.setattr(cropping, "TYPES", {"white_noise": cropping.TYPES["white_noise"]})
    train(config(steps=30, crop_pairs=4), files, tmp_path, "cpu")
    curve = [r["loss"] for r in json.loads((tmp_path / "train.json").read_text())["curve"]]
    assert sum(curve[-5:]) < 0.8 * sum(curve[:5])


@pytest.mark.parametrize("layout", ["overlapping", "disjoint", "single"])
def test_crops(files, layout):
    crops, unreadable = CropPairs(files, config(crop_layout=layout))[0]
    assert unreadable == []
    assert crops.shape == (2, 1 if layout == "single" else 2, 3, 64, 64) and crops.dtype == torch.uint8


def test_levels_reach_from_the_mildest_to_the_severest(files):
    c = config(levels=3, first_level=0, types_per_pair=2)
    pixels = CropPairs(files, c)[0][0]
    crops, images = pixels / 255, Batch(pixels, c, generator(1)).on("cpu")
    assert images.shape == (2, 2, 3, 3, 64, 64)
    assert torch.equal(images[:, :, 0], crops), "level 0 does not change the crop"
    change = (images - crops[:, :, None]).abs().mean((0, 1, 3, 4, 5))
    assert change[0] < change[1] < change[2]
    assert not torch.equal(Batch(pixels, config(levels=3), generator(1)).on("cpu")[:, :, 0], crops)


def test_codecs_that_work_ahead_give_what_the_step_would_have_computed(files, monkeypatch):
    monkeypatch.setattr(cropping, "TYPES", {t: cropping.TYPES[t] for t in ("jpeg", "white_noise", "jpeg2000")})
    c = config(crop_pairs=6, types_per_pair=2)
    pixels = CropPairs(files, c)[0][0]
    ahead, on_the_spot = (Batch(pixels, c, generator(1)) for _ in range(2))
    assert set(ahead.compressed) == {"jpeg", "jpeg2000"}
    on_the_spot.compressed.clear()
    assert torch.equal(ahead.on("cpu"), on_the_spot.on("cpu"))


def test_batches_come_in_the_order_of_their_steps_however_far_ahead_codecs_are(files):
    c = config(types_per_pair=1)
    crops = CropPairs(files, c)
    batches = [images for images, _ in degraded_batches(crops, range(3, 10), "cpu")]
    alone = [Batch(crops[k][0], c, generator(c.seed, 3, k, 0)).on("cpu") for k in range(3, 10)]
    assert len(batches) == 7 and all(torch.equal(a, b) for a, b in zip(batches, alone, strict=True))


def test_an_epoch_visits_every_image_once(files):
    c = config(crop_pairs=3)
    data = CropPairs(files, c)
    picked = [data.pick(step, i) for step in range(2) for i in range(3)]
    assert sorted(picked) == files


def test_validation_contents_are_not_trained_on(files):
    a, b = held_out(files, config())
    assert len(b) == 1 and set(a) | set(b) == set(files) and not set(a) & set(b)


def test_an_image_smaller_than_the_crop_is_named(files):
    with pytest.raises(ValueError, match=r"\.png: 224x224 px is smaller than the crop of 256 px"):
        CropPairs(files, config(crop=256))[0]


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_batch(files, tmp_path, monkeypatch):
    healthy = training.loss_terms

    def sick(model, images, c):
        terms = healthy(model, images, c)
        return {k: v * torch.nan for k, v in terms.items()}

    monkeypatch.setattr(training, "loss_terms", sick)
    with pytest.raises(FloatingPointError, match=r"step 1: the loss is nan.*nan_batch"):
        train(config(), files, tmp_path, "cpu")
    assert load_file(tmp_path / "nan_batch.safetensors")["images"].shape == (2, 2, 5, 3, 64, 64)
    assert not (tmp_path / "weights.safetensors").exists()


def test_gradient_accumulation_adds_up(files, tmp_path):
    train(config(steps=2, accumulate=2), files, tmp_path, "cpu")
    assert len(json.loads((tmp_path / "train.json").read_text())["curve"]) == 2


TWO_PROCESSES = """
import torch, torch.distributed as dist
from qualiclip import train as training
from qualiclip.bench.train import main

torch.set_num_threads(1)
whole = training.AdamW.step

def checked(self):
    grad = self.parameters[0].grad
    both = [torch.empty_like(grad) for _ in range(2)]
    dist.all_gather(both, grad)
    assert torch.equal(both[0], both[1]) and grad.abs().sum() > 0
    whole(self)

training.AdamW.step = checked
main()
"""


def test_two_processes_share_the_pairs_and_the_gradients(files, tmp_path):
    (tmp_path / "job.py").write_text(TWO_PROCESSES)
    folder = Path(files[0]).parent
    (tmp_path / "index.csv").write_text("".join(f"{name}\n" for name in ("image", *(Path(f).name for f in files))))
    command = ["torchrun", "--standalone", "--nproc-per-node=2", str(tmp_path / "job.py"), f"{folder.name}.yaml"]
    command += ["--index", str(tmp_path / "index.csv"), "--raw", str(folder.parent), "--device", "cpu"]
    command += ["--train", config(steps=2).model_dump_json(), "--out", str(tmp_path / "out/weights.safetensors")]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/weights.safetensors.provenance.json").read_text())["processes"] == 2


def test_shares_of_the_processes_make_the_whole_step(files, monkeypatch):
    def share(rank: int, world: int) -> CropPairs:
        monkeypatch.setattr(cropping, "RANK", rank)
        monkeypatch.setattr(cropping, "WORLD", world)
        return CropPairs(files, config(), shared=True)

    whole, first, second = share(0, 1), share(0, 2), share(1, 2)
    assert torch.equal(whole[1][0], torch.cat([first[1][0], second[1][0]]))
    assert len(first[1][0]) == len(second[1][0]) == 1
    with pytest.raises(ValueError, match="2 crop pairs per step cannot be shared among 3 processes"):
        share(0, 3)


def test_images_behind_an_update():
    assert TrainConfig().images == 160  # 16 pairs of crops at 5 levels
    assert TrainConfig(crop_layout="single", levels=3, crop_pairs=4, accumulate=2).images == 24
