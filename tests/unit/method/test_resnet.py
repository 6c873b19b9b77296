"""The image encoder equals open_clip's, and scoring imports neither open_clip nor what comes with it."""

from __future__ import annotations

import sys

import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet as OpenClipResNet

from qualiclip.clip import any_size
from qualiclip.resnet import POSITIONS, ModifiedResNet
from tests.support.commands import run

# blocks, D, heads, image size, width: RN50, rn-mini, rn-mini-wide
SIZES = [((3, 4, 6, 3), 1024, 32, 224, 64), ((1, 1, 1, 1), 64, 16, 96, 16), ((1, 1, 1, 1), 64, 32, 96, 32)]


def theirs(size: tuple) -> OpenClipResNet:
    """open_clip's encoder with random weights, open branches and statistics of images; no positional embedding."""
    torch.manual_seed(0)
    encoder = OpenClipResNet(*size)
    for name, parameter in encoder.named_parameters():
        if name.endswith("bn3.weight"):
            torch.nn.init.uniform_(parameter, 0.2, 0.6)
    encoder.attnpool.positional_embedding.data.zero_()
    with torch.no_grad():
        encoder.train()(torch.randn(4, 3, size[3], size[3]))
    return encoder.eval()


@pytest.mark.parametrize("size", SIZES, ids=["RN50", "rn-mini", "rn-mini-wide"])
def test_features_and_gradients_equal_open_clips(size):
    reference = theirs(size)
    ours = any_size(reference)
    images = torch.randn(2, 3, size[3], size[3])
    expected = reference(images)
    assert torch.allclose(ours(images), expected, rtol=1e-5, atol=1e-6 * float(expected.detach().abs().max()))
    # the weights are the same tensors, and get the same gradients
    (expected_gradient,) = torch.autograd.grad(reference(images).sum(), reference.conv1.weight)
    (gradient,) = torch.autograd.grad(ours(images).sum(), ours.conv1.weight)
    assert ours.conv1.weight.data_ptr() == reference.conv1.weight.data_ptr()
    assert torch.allclose(gradient, expected_gradient, rtol=1e-3, atol=1e-4 * float(expected_gradient.abs().max()))


def test_names_are_those_of_open_clip_in_the_order_of_its_parameters():
    names = [n for n, _ in theirs(SIZES[1]).named_parameters() if not n.startswith("attnpool")]
    ours = [n for n, _ in ModifiedResNet((1, 1, 1, 1), 64, 16, 16).named_parameters()]
    assert ours[: len(names)] == names and len(ours) == len(names) + 8


def test_the_size_is_told_by_the_weights_without_a_random_draw():
    state = theirs(SIZES[1]).state_dict()
    before = torch.get_rng_state()
    encoder = ModifiedResNet.from_weights(state, 16)
    assert torch.equal(torch.get_rng_state(), before)
    assert set(encoder.state_dict()) == set(state) - {POSITIONS}
    del state["layer2.0.conv2.weight"]
    with pytest.raises(RuntimeError, match=r"layer2\.0\.conv2\.weight"):
        ModifiedResNet.from_weights(state, 16)


def test_scoring_imports_torch_and_none_of_the_libraries_of_training():
    slow = ("kornia", "matplotlib", "open_clip", "pandas", "pyiqa", "scipy", "skimage", "timm", "torchvision")
    code = "import sys, qualiclip.cli, qualiclip.inference, qualiclip.score; print(*sys.modules)"
    modules = run(sys.executable, "-c", code).stdout.split()
    assert "torch" in modules and not set(slow) & set(modules)
