"""Training on a device that is not the CPU: no tensor is on the wrong one."""

from __future__ import annotations

import pytest
import torch

from qualiclip.config import TrainConfig
from qualiclip.degrade import GENERATORS, TYPES, Draw, degrade
from qualiclip.tensors import to_image
from qualiclip.train import train
from tests.support.other_device import DeviceTensor, other_device


def test_the_simulated_device_refuses_tensors_of_the_cpu():
    with other_device() as device:
        x = torch.ones(3, device=device)
        assert isinstance(x, DeviceTensor) and torch.equal((x + 1).cpu(), torch.full((3,), 2.0))
        assert float((x * torch.tensor(2.0)).sum()) == 6
        with pytest.raises(RuntimeError, match="of the CPU meets one of the device"):
            x + torch.ones(3)
        with pytest.raises(RuntimeError, match="generator on cpu"):
            torch.rand(3, generator=torch.Generator(), device=device)


@pytest.mark.parametrize("operations", GENERATORS)
@pytest.mark.parametrize("name", TYPES)
def test_every_degradation_gives_there_what_it_gives_on_the_cpu(name, operations):
    x = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    draw, levels = Draw.sample(3, torch.Generator().manual_seed(1)), torch.tensor([0.0, 2.5, 5.0])
    with other_device() as device:
        done = degrade(x.to(device), name, levels, draw, operations)
        assert isinstance(done, DeviceTensor)
        done = done.cpu()
    assert torch.allclose(done, degrade(x, name, levels, draw, operations), atol=1e-5)


def test_a_training_runs_there_and_gives_what_it_gives_on_the_cpu(photos, tmp_path):
    files = []
    for i, photo in enumerate(photos[:4]):
        files.append(str(tmp_path / f"{i}.png"))
        to_image(photo[:, :96, :96]).save(files[-1])
    size = {"encoder": "rn-mini", "pretrained": None, "crop": 64, "crop_pairs": 2, "levels": 2, "epochs": None}
    size |= {"precision": "float32"}  # a CPU may have bfloat16, which the simulated device lacks
    c = TrainConfig(**size, steps=2, lr=1e-9, lambda_across=1, ema_decay=0.9, types_per_pair=2, norm_batches=1)
    with other_device() as device:
        there = train(c, files, tmp_path / "there", device)
    here = train(c, files, tmp_path / "here", "cpu")
    assert [r["loss"] for r in there["curve"]] == pytest.approx([r["loss"] for r in here["curve"]], abs=1e-4)
    assert there["rank_consistency"] == pytest.approx(here["rank_consistency"], abs=0.02)
