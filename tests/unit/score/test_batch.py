"""Batches of one size; a failure stays with the image that causes it."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from PIL import Image

from qualiclip.bench.score.batch import size_batches
from tests.support.small_set import Mean, Noise, expected, score


def test_batches_are_of_one_size_and_keep_the_order(small):
    index = pd.read_csv(small / "index.csv")
    batches = size_batches(index, 3)
    assert sorted(r for rows in batches for r in rows) == list(range(11)) and max(map(len, batches)) == 3
    assert all(index.loc[rows, ["width", "height"]].drop_duplicates().shape[0] == 1 for rows in batches)
    assert size_batches(index, 3, done=set(batches[0])) == batches[1:]
    assert size_batches(index, 3, done={batches[0][0]}) == batches


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_batch_too_large_is_halved_and_stays_halved(small, error):
    def fault(batch):
        if len(batch.names) > 2:
            raise error

    method = Mean(fault)
    out = score(small, method, batch=8)
    assert (out["error"] == "").all() and out["score"].to_numpy() == pytest.approx(expected(small), abs=1e-6)
    assert method.sizes.index(2) <= 2 and max(method.sizes[2:]) <= 4


def test_one_bad_image_is_one_error_row(small):
    def fault(batch):
        if "5.png" in batch.names:
            raise ValueError("too\ndark")

    (small / "raw/small/7.png").write_bytes((small / "raw/small/7.png").read_bytes()[:200])
    (small / "raw/small/8.png").unlink()
    out = score(small, Mean(fault)).set_index("image")
    assert out.loc["5.png", "error"] == "ValueError: too dark"
    assert out.loc["7.png", "error"].startswith("cannot be read:")
    assert "No such file" in out.loc["8.png", "error"]
    assert out["score"].isna().sum() == (out["error"] != "").sum() == 3


def test_a_score_that_is_no_number_is_an_error(small):
    class Infinite(Mean):
        def score(self, batch):
            return super().score(batch) / torch.tensor([0.0 if n == "2.png" else 1.0 for n in batch.names])

    out = score(small, Infinite())
    assert out["error"].tolist().count("the score is inf") == 1 and out["score"].isna().sum() == 1


def test_a_method_that_gives_too_few_scores_is_an_error(small):
    class Short(Mean):
        def score(self, batch):
            return super().score(batch)[:0]

    out = score(small, Short(), batch=1)
    assert set(out["error"]) == {"RuntimeError: 0 scores for 1 images"}


def test_an_image_of_another_size_than_indexed_is_scored_alone(small):
    Image.new("RGB", (50, 50), "white").save(small / "raw/small/1.png")
    out = score(small, batch=8)
    assert (out["error"] == "").all() and out["score"][1] == 1


def test_a_method_is_given_the_shorter_side_that_its_card_asks_for(small):
    shapes = set()
    score(small, Mean(lambda batch: shapes.add(tuple(batch.images.shape[-2:]))), shorter_side=16)
    assert shapes == {(16, 20), (20, 16)}


def test_random_numbers_come_from_the_cards_seed(small):
    one, two = score(small, Noise(), seed=3), score(small, Noise(), seed=3, workers=2)
    assert one.equals(two) and not one.equals(score(small, Noise(), seed=4))
