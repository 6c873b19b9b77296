"""What is measured on photos: changes by degradations, scores at growing intensity, and the cost of a method."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from qualiclip.bench.measure import degradations, efficiency, intensity, photos, sizes
from qualiclip.bench.methods.contract import Batch
from qualiclip.degrade import N_LEVELS, TYPES
from tests.support.cards import dataset_card, method_card
from tests.support.photos import write_photos


class Conv:
    """One convolution."""

    def load(self, device: str) -> None:
        self.model = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)

    def score(self, batch: Batch) -> torch.Tensor:
        return self.model(batch.images).mean((1, 2, 3))


class Mean:
    """The mean grey value."""

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> torch.Tensor:
        return batch.images.mean((1, 2, 3))


def test_every_type_and_level_changes_the_photo():
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    table, degraded = degradations.measure(images)
    assert len(table) == len(TYPES) * N_LEVELS and (table["mae"] > 0).all() and set(table["photos"]) == {2}
    assert set(degraded) == {"original"} | {f"{t}_{level}" for t in TYPES for level in range(1, N_LEVELS + 1)}
    assert all(x.shape == (96, 96, 3) and x.dtype == "uint8" for x in degraded.values())


def test_what_a_method_costs():
    method = Conv()
    method.load("cpu")
    with torch.inference_mode():
        cost = efficiency.cost(method, (32, 16), "cpu")
    assert cost["parameters"] == 3 * 4 * 9 and cost["flops"] == 2 * 3 * 4 * 9 * 32 * 16
    assert cost["seconds"] > 0 and cost["memory"] is None


def test_parameters_are_counted_at_any_depth_and_once():
    """Of a method that holds another method, lists of modules, the same module twice, and functions of modules."""
    inner, outer, bound, enclosed = Conv(), Mean(), torch.nn.Linear(1, 7, bias=False), torch.nn.Linear(1, 9, bias=False)
    inner.load("cpu")
    outer.encoder, outer.again = inner, inner.model
    outer.heads = {"a": [torch.nn.Linear(2, 3, bias=False)], "self": outer}
    outer.encode, outer.decode = bound.forward, lambda x: enclosed(x)
    assert efficiency.parameters(outer) == 3 * 4 * 9 + 6 + 7 + 9 and efficiency.parameters(Mean()) == 0
    assert efficiency.processor()


@pytest.fixture
def small(tmp_path):
    """Index and raw folder of five photos of 80 x 64 px."""
    folder = tmp_path / "raw/myset"
    folder.mkdir(parents=True)
    write_photos(torch.rand(5, 3, 64, 80, generator=torch.Generator().manual_seed(0)), folder)
    names = [f"{i}.png" for i in range(5)]
    pd.DataFrame({"image": names, "width": 80, "height": 64}).to_csv(tmp_path / "i.csv", index=False)
    return tmp_path / "i.csv", tmp_path / "raw"


def test_photos_are_spread_over_the_index(small):
    index, raw = small
    assert [f.name for f in photos.choose(index, raw, dataset_card(), 2)] == ["0.png", "2.png"]
    assert len(photos.choose(index, raw, dataset_card(), 5)) == 5
    assert photos.choose(index, raw, dataset_card(), 1) == [raw / "myset/0.png"]


def test_photos_are_cut_to_one_size_and_resized_as_the_card_says(small):
    index, raw = small
    files = photos.choose(index, raw, dataset_card(), 2)
    assert photos.stack(files, dataset_card(), 48).shape == (2, 3, 48, 48)
    assert photos.stack(files, dataset_card(), 99).shape == (2, 3, 64, 64)
    assert photos.read(files[0], dataset_card(resize={"shorter_side": 32})).shape == (3, 32, 40)
    whole = photos.read(files[0], dataset_card())
    assert torch.equal(photos.middle(whole, 48), whole[:, 8:56, 16:64])


def test_scores_at_growing_intensity(small):
    index, raw = small
    files = photos.choose(index, raw, dataset_card(), 2)
    table = intensity.curves(Mean(), method_card(), files, dataset_card(), "cpu")
    assert len(table) == 2 * len(TYPES) * (N_LEVELS + 1)
    assert table["intensity"].unique().tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    untouched = table[table["intensity"] == 0].groupby("image")["score"]
    assert (untouched.nunique() == 1).all(), "level 0 is the photo itself, whatever the type"
    assert untouched.first().tolist() == pytest.approx([photos.read(f, dataset_card()).mean().item() for f in files])


class Width:
    """The width of an image in px, of those that are 32 px wide at least."""

    def score(self, batch: Batch) -> torch.Tensor:
        if batch.images.shape[-1] < 32:
            raise ValueError("too small")
        return batch.images.new_full((len(batch.images),), batch.images.shape[-1])


def test_scores_at_smaller_sizes(small):
    """Photos of 80 x 64 px whole, and down to a quarter; what a method cannot score has a reason in its row."""
    index, raw = small
    files = photos.choose(index, raw, dataset_card(), 2)
    table = sizes.at_sizes(Width(), method_card(), files, dataset_card(), "cpu")
    assert table["image"].tolist() == ["0.png"] * 5 + ["2.png"] * 5
    assert table["factor"].tolist() == [0.25, 0.35, 0.5, 0.7, 1] * 2
    assert table["score"].tolist()[2:5] == pytest.approx([40, 80 * 45 / 64, 80], abs=0.6)
    assert table["error"].tolist()[:2] == ["ValueError: too small"] * 2 and not table["error"].iloc[2]


def test_a_smaller_photo_is_the_photo_by_an_antialiasing_filter(small):
    """The mean grey value of a photo hardly changes; a policy of the method's card is followed after."""
    index, raw = small
    files = photos.choose(index, raw, dataset_card(), 2)
    means = sizes.at_sizes(Mean(), method_card(), files, dataset_card(), "cpu")["score"]
    assert means.tolist() == pytest.approx([means[4]] * 5 + [means[9]] * 5, abs=0.01)
    card = method_card(input={"shorter_side": 48})
    assert set(sizes.at_sizes(Width(), card, files, dataset_card(), "cpu")["score"]) <= {60, 61}
