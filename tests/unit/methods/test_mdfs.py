"""MDFS against its definition, on made feature maps and on a small EfficientNet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from torch import nn
from torchvision.models import EfficientNet_B7_Weights, efficientnet_b7

from qualiclip.bench.cards.base import METHODS, load_function
from qualiclip.bench.methods.contract import Batch
from tests.support.commands import ROOT
from tests.support.photos import write_photos

FILE = ROOT / METHODS
pyramid, statistics, distance = (load_function(f"mdfs.py:{n}", FILE) for n in ("pyramid", "statistics", "distance"))
Mdfs = load_function("mdfs.py:Mdfs", FILE)


def kernel(side: int) -> np.ndarray:
    """A Gaussian of sigma side / 3 with a sum of one, (side, side)."""
    x = np.arange(side) - side // 2
    values = np.exp(-(x[:, None] ** 2 + x**2) / (2 * (side / 3) ** 2))
    return values / values.sum()


@pytest.mark.parametrize(("size", "side"), [((8, 9), 3), ((64, 70), 5)])
def test_local_statistics(size, side):
    """Of two stages of two and three channels: means under the window, of unit length per stage, and deviations."""
    maps = torch.rand(1, 5, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    means, deviations = statistics(maps, [2, 3])
    inner = slice(side // 2, -(side // 2))

    def averaged(values):
        whole = [correlate(v, kernel(side), mode="constant")[inner, inner] for v in values]
        return np.stack(whole)[:, :: side // 2, :: side // 2]

    mean, square = averaged(maps[0].numpy()), averaged((maps[0] ** 2).numpy())
    assert deviations.numpy() == pytest.approx(np.sqrt(square - mean**2).mean(0).ravel())
    for part in (slice(0, 2), slice(2, 5)):
        expected = mean[part] / np.linalg.norm(mean[part], axis=0)
        assert means[:, part].numpy() == pytest.approx(expected.reshape(len(expected), -1).T)


def test_a_map_that_leaves_one_place_is_refused():
    with pytest.raises(ValueError, match="too small"):
        statistics(torch.rand(1, 2, 3, 3), [2])
    assert len(statistics(torch.rand(1, 2, 3, 4), [2])[0]) == 2


def test_the_pyramid_brings_all_stages_to_one_size():
    """The first stage is smoothed and halved twice, the second once; the last two are as they were."""
    g = torch.Generator().manual_seed(0)
    sizes = [(16, 24), (8, 12), (4, 6), (4, 6)]
    stages = [torch.rand(1, 1, *size, generator=g, dtype=torch.float64) for size in sizes]
    out = pyramid(stages)
    assert out.shape == (1, 4, 4, 6)
    assert torch.equal(out[:, 2:], torch.cat(stages[2:], 1))

    def halved(maps):
        return correlate(maps, kernel(3), mode="mirror")[::2, ::2]

    assert out[0, 1].numpy() == pytest.approx(halved(stages[1][0, 0].numpy()))
    assert out[0, 0].numpy() == pytest.approx(halved(halved(stages[0][0, 0].numpy())))
    assert pyramid([torch.ones(1, 2, 9, 9), torch.ones(1, 3, 4, 4), torch.ones(1, 4, 4, 4)]).shape == (1, 9, 4, 4)


def test_the_distance_is_a_weighted_mean_of_mahalanobis_distances():
    rng = np.random.default_rng(0)
    means, deviations = rng.standard_normal((7, 3)), rng.random(7)
    pristine_mean, root = rng.standard_normal(3), rng.standard_normal((3, 3))
    pristine_covariance = root @ root.T + np.eye(3)
    inverse = np.linalg.inv((np.cov(means.T) + pristine_covariance) / 2)
    distances = [np.sqrt((m - pristine_mean) @ inverse @ (m - pristine_mean)) for m in means]
    weights = 1 / (1 + np.exp(-(deviations - deviations.mean()) / deviations.std(ddof=1)))
    got = distance(*(torch.from_numpy(v) for v in (means, deviations, pristine_mean, pristine_covariance)))
    assert got.item() == pytest.approx(np.average(distances, weights=weights))


def small_blocks() -> nn.Sequential:
    """Six blocks of the shapes of EfficientNet: the first stage ends at half the size, the last two are of one size."""
    torch.manual_seed(0)
    layout = [(3, 4, 2), (4, 4, 1), (4, 5, 2), (5, 6, 2), (6, 7, 2), (7, 8, 1)]  # channels in, out, stride
    return nn.Sequential(*(nn.Sequential(nn.Conv2d(i, o, 3, s, 1), nn.SiLU()) for i, o, s in layout)).eval()


def test_noise_is_farther_from_the_fit_than_the_photos_of_the_fit(photos, tmp_path, monkeypatch):
    """Finite, the same alone and in a batch, and larger for noise than for the photos."""
    monkeypatch.setattr(Mdfs, "_load_network", lambda self, device: self.use(small_blocks()))
    files = write_photos(photos[:3], tmp_path)
    method = Mdfs(tmp_path / "fitted", None)
    method.fit(files, tmp_path / "fitted", "cpu")
    assert np.load(tmp_path / "fitted")["mean"].shape == (30,)
    method.load("cpu")
    scores = method.score(Batch(photos[:3], [], []))
    assert scores.isfinite().all() and (scores > 0).all()
    assert scores[1].item() == pytest.approx(method.score(Batch(photos[1:2], [], [])).item())
    noise = torch.rand(1, *photos.shape[1:], generator=torch.Generator().manual_seed(0))
    assert method.score(Batch(noise, [], []))[0] > scores.max()


def test_the_stages_are_those_of_torchvisions_network():
    """Channels and sizes that the authors' code states for EfficientNet-b7, without its weights."""
    with torch.device("meta"):
        blocks = efficientnet_b7().features
        x, shapes = torch.empty(1, 3, 64, 96), []
        for block in blocks[:6]:
            x = block(x)
            shapes.append(x.shape[1:])
    assert [s[0] for s in shapes[1:]] == [32, 48, 80, 160, 224]
    assert [s[1:] for s in shapes[1:]] == [(32, 48), (16, 24), (8, 12), (4, 6), (4, 6)]
    assert "lukemelas-c5b4e57e" in EfficientNet_B7_Weights.IMAGENET1K_V1.url
