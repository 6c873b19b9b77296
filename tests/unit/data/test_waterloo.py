"""The distorted images that are made of Waterloo's pristine ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from qualiclip.bench.cards.base import DATASETS, load_function, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.data import index
from qualiclip.images import open_rgb
from tests.support.commands import ROOT

CARD = read_card(DatasetCard, ROOT / DATASETS / "waterloo_distorted.yaml")
TYPES = {"blur": "png", "jpeg": "jpg", "jpeg2000": "png", "noise": "png"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One pristine photo of soft blocks, 180 x 120 px, and its distorted images."""
    root = tmp_path_factory.mktemp("waterloo")
    pristine, target = root / "waterloo/database/pristine_images", root / "made"
    pristine.mkdir(parents=True)
    target.mkdir()
    blocks = np.random.default_rng(0).integers(60, 196, (12, 18, 3), np.uint8)
    Image.fromarray(blocks).resize((180, 120), Image.Resampling.BICUBIC).save(pristine / "00001.bmp")
    load_function(CARD.make.function, ROOT / DATASETS)(target, root / "waterloo", **CARD.make.arguments)
    return pristine / "00001.bmp", target


def pixels(path):
    return np.asarray(open_rgb(path)).astype(float) / 255


def test_every_type_has_five_levels_that_get_worse(folders):
    photo, target = folders
    whole = pixels(photo)
    assert sorted(p.name for p in target.iterdir()) == sorted(
        f"00001_{t}_{level}.{form}" for t, form in TYPES.items() for level in range(1, 6)
    )
    for t, form in TYPES.items():
        changes = [np.square(pixels(target / f"00001_{t}_{k}.{form}") - whole).mean() for k in range(1, 6)]
        assert changes == sorted(changes) and changes[0] < changes[-1], t
    card = CARD.model_copy(update={"images": CARD.images.model_copy(update={"count": 20})})
    assert len(index.build(card, target)) == 20
    assert CARD.images.count == 4744 * sum(map(len, CARD.make.arguments.values()))


def test_noise_has_the_variance_that_the_card_states(folders):
    """Levels 1 and 2, which are hardly clipped: variance 2^-10 and 2^-7.5 where white is 1."""
    photo, target = folders
    for level, exponent in ((1, -10), (2, -7.5)):
        difference = pixels(target / f"00001_noise_{level}.png") - pixels(photo)
        assert difference.var() == pytest.approx(2**exponent, rel=0.03)
        assert abs(difference.mean()) < 0.002


def test_blur_is_the_kernel_that_the_card_states():
    """Of an impulse: a Gaussian of sigma 7 / 6, cut to 7 px, with a sum of one."""
    blurred = load_function("waterloo.py:blurred", ROOT / DATASETS)
    impulse = np.zeros((31, 31, 3), np.uint8)
    impulse[15, 15] = 255
    values = blurred(impulse, 7)[..., 0].astype(float) / 255
    x = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    kernel = np.outer(x, x) / np.outer(x, x).sum()
    assert values[12:19, 12:19] == pytest.approx(kernel, abs=0.5 / 255)
    assert not values[:, :12].any() and not values[:12].any()


def test_quality_zero_is_the_lowest_and_not_the_default(folders):
    _, target = folders
    sizes = [(target / f"00001_jpeg_{k}.jpg").stat().st_size for k in range(1, 6)]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[-2]
