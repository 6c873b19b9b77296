"""A made-up method and a set of eleven small images of two sizes, to score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.methods.contract import Batch, Method, NotRun
from qualiclip.bench.score import run
from qualiclip.bench.score.partial import Partial

METHOD = """
title: mean
family: control
higher_better: true
input: {batch: 4}
citation: c
license: l
module: mean.py:Mean
"""
CODE = """
import os, time
class Mean:
    def load(self, device):
        pass
    def score(self, batch):
        time.sleep(float(os.environ.get("SLOW", 0)))
        return batch.images.mean((1, 2, 3))
"""
DATASET = """
title: small
family: authentic
files: [{filename: small.zip, manual: by hand, extract: true}]
labels: {format: csv, file: labels.csv, range: [0, 5]}
images: {count: 11}
citation: c
license: l
"""


class Mean:
    """The mean grey value; `fault` may raise an error for a batch."""

    def __init__(self, fault: Callable[[Batch], None] = lambda batch: None):
        self.fault, self.sizes = fault, []

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> torch.Tensor:
        self.sizes.append(len(batch.names))
        self.fault(batch)
        return batch.images.double().mean((1, 2, 3))


class Absent(Mean):
    """A method whose weights are missing."""

    def load(self, device: str) -> None:
        raise NotRun("x.pth could not be fetched")


class Noise(Mean):
    """Random numbers and nothing else."""

    def score(self, batch: Batch) -> torch.Tensor:
        return torch.rand(len(batch.names))


def write_small(folder: Path) -> Path:
    """Write the cards of the method and the dataset, its images, and its index."""
    (folder / "mean.yaml").write_text(METHOD)
    (folder / "mean.py").write_text(CODE)
    (folder / "small.yaml").write_text(DATASET)
    (folder / "raw/small").mkdir(parents=True)
    rng, rows = np.random.default_rng(0), []
    for i in range(11):
        w, h = (40, 32) if i % 3 else (32, 40)
        Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)).save(folder / f"raw/small/{i}.png")
        rows.append({"image": f"{i}.png", "width": w, "height": h, "mos": float(i % 5)})
    pd.DataFrame(rows).to_csv(folder / "index.csv", index=False)
    return folder


def cards(small: Path) -> tuple[MethodCard, DatasetCard]:
    return read_card(MethodCard, small / "mean.yaml"), read_card(DatasetCard, small / "small.yaml")


def score(
    small: Path,
    method: Method | None = None,
    workers: int = 0,
    partial: Partial | None = None,
    shard: tuple[int, int] = (1, 1),
    **policy,
) -> pd.DataFrame:
    """The score file of the set. policy: changes of the card's `input`."""
    card, dataset = cards(small)
    card = card.model_copy(update={"input": card.input.model_copy(update=policy)})
    index = pd.read_csv(small / "index.csv")
    return run.run(method or Mean(), card, dataset, index, small / "raw", "cpu", workers, partial, shard)


def expected(small: Path) -> list[float]:
    """The scores by hand."""
    names = pd.read_csv(small / "index.csv")["image"]
    return [np.array(Image.open(small / "raw/small" / n)).mean() / 255 for n in names]
