"""Train a method on the train part of each split of a dataset, and score that split's test part.

`python -m qualiclip.bench.score.per_split baselines/probe-untrained.yaml datasets/agiqa3k.yaml --features ...`
The score file has one row per image and one column per split, filled in the split's test part alone. `score` is
empty: there is no model of the whole set. Torch is not imported here, but by the methods that need it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from qualiclip.bench import job
from qualiclip.bench.cards.base import CardError, load_function, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import (
    oriented,
    read_features,
    read_index,
    refused_scores,
    split_columns,
    unscored,
    write_csv,
)
from qualiclip.bench.methods.contract import NotRun, Part, Split, SplitMethod
from qualiclip.io import atomic, sha256


def create(card: MethodCard, checkpoint: Path | None = None, mirror: Path | None = None) -> SplitMethod:
    """The class behind a card. mirror: folder of weights used in place of the network. Raises CardError."""
    if not card.features_of:
        raise CardError(f"{card.path}: it is not trained per split; the key features_of says on what")
    arguments = {"checkpoint": checkpoint, "mirror": mirror} if card.variant else {}
    try:
        return load_function(card.module, card.path.parent)(**card.arguments, **arguments)
    except TypeError as e:
        raise CardError(f"{card.path}: {card.module}: {e}") from e


def split_of(
    features: np.ndarray, mos: np.ndarray, parts: pd.Series, dataset: DatasetCard, usable: np.ndarray
) -> Split:
    """What a model may see of one split: features (N, D) and oriented labels (N,) of its train and val part.

    parts: (N,) train, val or test. usable: (N,), whether an image has features.

    Labels are mapped from the card's range to [0, 1]; where an end is open, from the range of the train part.
    Raises NotRun for fewer than two images to train on.
    """
    train, val = (usable & (parts == name).to_numpy() for name in ("train", "val"))
    if train.sum() < 2:
        raise NotRun(f"{parts.name} of {dataset.title} has {train.sum()} images to train on")
    # the range of oriented labels: that of the card, turned like the labels
    ends: Sequence[float | None] = dataset.labels.range
    if not dataset.labels.higher_better:
        ends = [None if end is None else -end for end in ends[::-1]]
    own = mos[train].min(), mos[train].max()
    low, high = (measured if end is None else end for end, measured in zip(ends, own, strict=True))
    unit = (mos - low) / ((high - low) or 1.0)
    return Split(*(Part(features[rows], unit[rows]) for rows in (train, val)))


def score(
    method: SplitMethod,
    features: np.ndarray,
    error: np.ndarray,
    index: pd.DataFrame,
    dataset: DatasetCard,
    device: str,
) -> pd.DataFrame:
    """The score file of a method. features: (N, D). error: (N,), why an image has none, or empty.

    Raises NotRun for a set without splits or with too few images, or as the method does; ValueError for scores that
    are not finite numbers.
    """
    parts, usable = index[split_columns(index)], error == ""
    if not len(parts.columns):
        raise NotRun(f"{dataset.title} has no train and test parts")
    mos = oriented(index["mos"], dataset.labels)
    method.fit([split_of(features, mos, parts[c], dataset, usable) for c in parts], device)
    scores = pd.DataFrame(np.nan, index.index, parts.columns)
    for k, column in enumerate(parts):
        rows = usable & (parts[column] == "test").to_numpy()
        if not rows.any():
            continue
        predicted = np.asarray(method.predict(k, features[rows]), float)
        if predicted.shape != (rows.sum(),) or not np.isfinite(predicted).all():
            raise ValueError(f"{dataset.name}, {column}: not one finite score for each of {rows.sum()} images")
        scores.loc[rows, column] = predicted
    return pd.concat([unscored(index, error), scores], axis=1)


def main() -> None:
    names = ("method", "dataset", "--index", "--checkpoint", "--mirror", "--device", "--out")
    parser = job.parser("Train a method on each split of a dataset, and score the test parts.", *names)
    parser.add_argument("--features", type=Path, required=True, help="features of the card's encoder on the dataset")
    parser.add_argument(
        "--learned", type=Path, required=True, help="written: what the models have learned, safetensors"
    )
    args = parser.parse_args()
    start = time.perf_counter()
    if job.absent([args.index], args.out, args.learned):
        return
    learned: dict[str, np.ndarray] = {}
    card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
    index = read_index(args.index)
    try:
        features, error, reason = read_features(args.features, index)
        if reason:
            raise NotRun(reason)
        method = create(card, args.checkpoint, args.mirror)
        scores = score(method, features, error, index, dataset, args.device)
        learned = method.learned()
    except NotRun as e:
        scores = refused_scores(index, str(e))
    except ValueError as e:
        sys.exit(f"error: {e}")
    with atomic(args.learned) as temporary:
        save_file({name: np.ascontiguousarray(value) for name, value in learned.items()}, temporary)
    write_csv(scores, args.out)
    job.record(
        args.out,
        card,
        dataset,
        args.index,
        features=sha256(args.features),
        learned=sha256(args.learned),
        seconds=round(time.perf_counter() - start, 3),
        failed=int((scores["error"] != "").sum()),
        complete=bool(learned),
    )


if __name__ == "__main__":
    job.run(main)
