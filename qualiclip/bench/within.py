"""Train a method on the train part of each split of a dataset, and score that split's test part.

`python -m qualiclip.bench.within baselines/probe-clip.yaml datasets/agiqa3k.yaml --index ... --features ... --out ...`
The score file has one row an image and a column a split, filled in the split's test part alone: see
`tabular.read_scores`. `score` is empty, there is no model of the whole set. Torch is not imported here.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from qualiclip.bench import provenance
from qualiclip.bench.beside import NotRun, load_function
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard, MethodCard
from qualiclip.bench.correlate import orient_labels
from qualiclip.bench.files import atomic, command, sha256
from qualiclip.bench.tabular import SCORES, read_index


@dataclass(frozen=True)
class Part:
    """Images of one part of a split: features (n, D) float32, and labels (n,), higher is better, of range [0, 1]."""

    features: np.ndarray
    mos: np.ndarray

    def __len__(self) -> int:
        return len(self.mos)


@dataclass(frozen=True)
class Split:
    """What a model may see of a split. `val` is empty in a set too small for one."""

    train: Part
    val: Part


class Within(Protocol):
    """A class that a card with `features` names; `checkpoint=` and `mirror=` reach it where the card has a variant."""

    def fit(self, splits: list[Split], device: str) -> None:
        """Learn one model a split. device: "auto", "cpu" or "cuda". Raises NotRun when weights cannot be had."""

    def predict(self, split: int, features: np.ndarray) -> np.ndarray:
        """(n, D) -> (n,) scores by the model of a split, higher is better."""

    def learned(self) -> dict[str, np.ndarray]:
        """What the models have learned, the splits along the first axis; stored beside the scores."""


def create(card: MethodCard, checkpoint: Path | None = None, mirror: Path | None = None) -> Within:
    """The class behind a card. mirror: folder whose weights are taken in place of the network. Raises CardError."""
    if not card.features:
        raise CardError(f"{card.path}: it is not trained within splits; the key features says on what")
    given = {"checkpoint": checkpoint, "mirror": mirror} if card.variant else {}
    try:
        return load_function(card.module, card.path.parent)(**card.arguments, **given)
    except TypeError as e:
        raise CardError(f"{card.path}: {card.module}: {e}") from e


def read_features(path: Path, index: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) and errors (N,). Raises ValueError for a file that is not that of the index."""
    with np.load(path, allow_pickle=False) as arrays:
        if not np.array_equal(arrays["image"], index["image"].to_numpy(str)):
            raise ValueError(f"{path}: not one row per image of the index, in its order; remove it")
        return arrays["features"], arrays["error"]


def split_of(
    features: np.ndarray, mos: np.ndarray, parts: pd.Series, dataset: DatasetCard, usable: np.ndarray
) -> Split:
    """What a model may see of one split: features (N, D) and oriented labels (N,) of its train and val part.

    parts: (N,) train, val or test. usable: (N,), whether an image has features.

    Labels are mapped from the card's range to [0, 1]; where that is open, from the range of the train part.
    Raises NotRun for fewer than two images to train on.
    """
    train, val = (usable & (parts == name).to_numpy() for name in ("train", "val"))
    if train.sum() < 2:
        raise NotRun(f"{parts.name} of {dataset.title} has {train.sum()} images to train on")
    ends: Sequence[float | None] = dataset.labels.range
    if not dataset.labels.higher_better:
        ends = [None if end is None else -end for end in ends[::-1]]
    own = mos[train].min(), mos[train].max()
    low, high = (theirs if end is None else end for end, theirs in zip(ends, own, strict=True))
    unit = (mos - low) / ((high - low) or 1.0)
    return Split(*(Part(features[rows], unit[rows]) for rows in (train, val)))


def score(
    method: Within, features: np.ndarray, error: np.ndarray, index: pd.DataFrame, dataset: DatasetCard, device: str
) -> pd.DataFrame:
    """The score file of a method. features: (N, D). error: (N,), why an image has none, or "".

    Raises NotRun for a set without splits or with too few images, or as the method does; ValueError for scores
    that are no numbers.
    """
    parts, usable = index[[c for c in index if c.startswith("split_")]], error == ""
    if not len(parts.columns):
        raise NotRun(f"{dataset.title} has no train and test parts")
    mos = orient_labels(index["mos"], dataset)
    method.fit([split_of(features, mos, parts[c], dataset, usable) for c in parts], device)
    out = pd.DataFrame(np.nan, index.index, parts.columns)
    for k, column in enumerate(parts):
        rows = usable & (parts[column] == "test").to_numpy()
        if not rows.any():
            continue
        predicted = np.asarray(method.predict(k, features[rows]), float)
        if predicted.shape != (rows.sum(),) or not np.isfinite(predicted).all():
            raise ValueError(f"{dataset.name}, {column}: not one finite score for each of {rows.sum()} images")
        out.loc[rows, column] = predicted
    return pd.concat([blank(index, error), out], axis=1)


def blank(index: pd.DataFrame, error: np.ndarray | str) -> pd.DataFrame:
    """Rows without scores."""
    return pd.DataFrame({"image": index["image"], "score": np.nan, "error": error})[SCORES]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train a method within each split of a dataset, and score the test parts."
    )
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml, a card with features")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml")
    parser.add_argument("--index", type=Path, required=True, help="the dataset's index")
    parser.add_argument("--features", type=Path, required=True, help="features of the card's encoder on the dataset")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint folder of the card's variant")
    parser.add_argument("--mirror", type=Path, help="folder whose timm/<model>.safetensors is taken for CLIP's weights")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--learned", type=Path, required=True, help="what the models have learned, safetensors")
    parser.add_argument("--out", type=Path, required=True, help="scores/<method>/<dataset>.csv")
    args = parser.parse_args()
    start = time.perf_counter()
    learned: dict[str, np.ndarray] = {}
    try:
        card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        index = read_index(args.index)
        features, error = read_features(args.features, index)
        refused = next((e for e in error if e.startswith("not run: ")), "")
        try:
            if refused:
                raise NotRun(refused.removeprefix("not run: "))
            method = create(card, args.checkpoint, args.mirror)
            out = score(method, features, error, index, dataset, args.device)
            learned = method.learned()
        except NotRun as e:
            out = blank(index, f"not run: {e}")
    except (CardError, ValueError) as e:
        sys.exit(f"error: {e}")
    with atomic(args.learned) as temporary:
        save_file({name: np.ascontiguousarray(value) for name, value in learned.items()}, temporary)
    with atomic(args.out) as temporary:
        out.to_csv(temporary, index=False)
    provenance.record(
        args.out,
        method=card.name,
        card=card.score_digest(),
        dataset=dataset.name,
        index=sha256(args.index),
        features=sha256(args.features),
        learned=sha256(args.learned),
        seconds=round(time.perf_counter() - start, 3),
        failed=int((out["error"] != "").sum()),
        complete=bool(learned),
    )


if __name__ == "__main__":
    command(main)
