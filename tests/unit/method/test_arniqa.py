"""The operations of the authors' generator, beside its published outputs and by their properties."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from qualiclip.degrade import GENERATORS, TYPES, Draw, arniqa, degrade

RANDOM = {  # types whose outputs cannot be compared pixel by pixel
    "color_block",
    "color_shift",
    "impulse_noise",
    "jitter",
    "motion_blur",
    "multiplicative_noise",
    "non_eccentricity_patch",
    "white_noise",
    "white_noise_ycbcr",
}
LEAST = 45  # dB; the authors cut the last bit of two Lab types off, which costs some 51 dB


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    """Outputs of the authors' code on one crop, at all levels of the deterministic types."""
    mirror = os.environ.get("QUALICLIP_MIRROR")
    file = Path(mirror or ".").parent / "reference/arniqa_outputs.npz"
    if not mirror or not file.is_file():
        pytest.skip("no arniqa_outputs.npz beside the folder QUALICLIP_MIRROR")
    return dict(np.load(file))


def _tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).float()[None] / 255


def test_all_types_are_either_compared_or_random():
    assert set(RANDOM) < set(TYPES) and set(arniqa.FUNCTIONS) == set(arniqa.DIFFERENCES) < set(TYPES)


@pytest.mark.realdata
@pytest.mark.parametrize("level", range(1, 6))
@pytest.mark.parametrize("name", sorted(set(TYPES) - RANDOM))
def test_operations_give_the_published_outputs(reference, name, level):
    x, t = _tensor(reference["input"]), TYPES[name]
    value = torch.tensor([float(t.published[level - 1])])
    if name == "linear_contrast":
        value = value + 0.2  # our parameter is the signed distance from the identity
    draw = Draw(torch.zeros(1, dtype=torch.long), torch.full((1, 2), 0.9))
    out = GENERATORS["arniqa"][name](x, value, draw).clamp(0, 1)
    error = ((out * 255).round() / 255 - _tensor(reference[f"{name}_{level}"])).square().mean()
    psnr = 120.0 if error == 0 else float(-10 * error.log10())
    assert psnr >= LEAST


def test_the_disk_is_smaller_than_a_disk_and_whole():
    kernel = arniqa.disk_kernel(8).double()
    axis = torch.arange(-8.0, 9.0).double()
    deviation = float((kernel.sum(0) * axis.square()).sum().sqrt())
    assert deviation == pytest.approx(3.17, abs=0.01), "measured on the authors' kernel; a true disk has 4.0"
    assert float(kernel.sum()) == pytest.approx(1) and torch.equal(kernel, kernel.T)


def test_quantization_counts_thresholds():
    x = (torch.cat([torch.zeros(1), torch.arange(255) + 0.5]) / 255).expand(1, 3, 64, 256)
    out = arniqa.quantization(x, torch.tensor([4.0]), Draw.sample(1))
    # thresholds 0, 63, 127, 191: black, then four levels
    assert out.unique().tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    steps = [int((out[0, 0, 0] == v).sum()) for v in out.unique()]
    assert steps == [1, 63, 64, 64, 64]


@pytest.mark.parametrize("name", sorted(arniqa.FUNCTIONS))
def test_severity_grows_and_the_generators_differ(photos, name):
    images = photos[:2].repeat_interleave(5, 0)
    levels = torch.arange(1.0, 6).repeat(2)
    draw = Draw.sample(2, torch.Generator().manual_seed(0)).repeat(5)
    theirs, ours = (degrade(images, name, levels, draw, g) for g in ("arniqa", "kadid"))
    assert (theirs - ours).abs().max() > 1 / 255
    change = (theirs - images).abs().mean((1, 2, 3)).view(2, 5)
    assert (change.diff(dim=1) > 0).all()
    untouched = degrade(images, name, torch.zeros(10), draw, "arniqa")
    assert torch.equal(untouched, images)
