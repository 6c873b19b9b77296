"""Features of one encoder for every image of a dataset, computed once for all methods that are trained on them.

`python -m qualiclip.bench.score.features baselines/qualiclip.yaml datasets/agiqa3k.yaml --index ... --out x.npz`
The file holds image (N,), features (N, D) float32 (NaN where an image failed), error (N,), and reason: why the
encoder could not be run, or empty. A killed job resumes from its partial results.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qualiclip.bench import job
from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import read_index
from qualiclip.bench.methods.contract import Batch, Method, NotRun
from qualiclip.bench.methods.load import create
from qualiclip.bench.score.batch import Scorer, prepare_process, score_all, size_batches
from qualiclip.bench.score.partial import Partial, Row
from qualiclip.bench.score.run import partial_key
from qualiclip.config import WEIGHTS
from qualiclip.io import atomic


class FeatureScorer(Scorer):
    """Decoded images in, rows with features out."""

    def values(self, batch: Batch) -> list[Any]:
        encoder: Any = self.method  # a method with features, as `encode` has checked
        return list(encoder.features(batch).float().cpu().numpy())


class PartialFeatures(Partial):
    """Finished rows of a features file: a killed job resumes from them."""

    suffix = ".npz"

    def read(self, path: Path) -> list[Row]:
        with np.load(path, allow_pickle=False) as arrays:
            return [Row(int(row), x, "") for row, x in zip(arrays["row"], arrays["features"], strict=True)]

    def save(self, path: Path, rows: list[Row]) -> None:
        good = [r for r in rows if r.score is not None]
        np.savez(path, row=np.array([r.row for r in good], int), features=np.array([r.score for r in good], np.float32))


def encode(
    method: Method,
    card: MethodCard,
    dataset: DatasetCard,
    index: pd.DataFrame,
    raw: Path,
    device: str = "cpu",
    workers: int = 0,
    partial: PartialFeatures | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of the file. A method that is NotRun has no features, and `reason` says why.

    workers, partial: as in `run.run`. Raises CardError for a method without features.
    """
    image = index["image"].to_numpy(str)
    try:
        method.load(device)
    except NotRun as e:
        nothing: np.ndarray = np.empty((len(index), 0), np.float32)
        return {"image": image, "features": nothing, "error": np.full(len(index), ""), "reason": np.array(str(e))}
    if not hasattr(method, "features"):
        raise CardError(f"{card.path}: its method has no features(batch)")
    # encode what an earlier run has not finished
    scorer = FeatureScorer(method, index, [raw / dataset.name / f for f in index["image"]], device, card.input)
    partial = partial or PartialFeatures(None)
    todo = size_batches(index, card.input.batch, partial.done())
    score_all(scorer, dataset, todo, partial, workers, f"features of {card.name} on {dataset.name}", len(index))
    # one row per image; a failed image has NaN in place of features
    rows = [partial.rows[i] for i in range(len(index))]
    length = next((len(r.score) for r in rows if r.score is not None), 0)
    missing: np.ndarray = np.full(length, np.nan, np.float32)
    features = np.stack([missing if r.score is None else r.score for r in rows])
    errors = np.array([r.error for r in rows], str)
    return {"image": image, "features": features, "error": errors, "reason": np.array("")}


def main() -> None:
    names = ("method", "dataset", "--index", "--raw", "--checkpoint", "--device", "--threads", "--out")
    args = job.parser("Compute the features of every image.", *names, checkpoint={"required": True}).parse_args()
    job.exit_on_sigterm()
    prepare_process()
    start = time.perf_counter()
    if job.absent([args.index], args.out):
        return
    card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
    index = read_index(args.index, sizes=True)
    device = job.device("cpu" if card.input.device == "cpu" else args.device)
    workers = args.threads if args.threads > 1 else 0
    weights = args.checkpoint / WEIGHTS
    key = partial_key(card, dataset, [args.index, weights], "qualiclip.bench.score.features")
    partial = PartialFeatures(args.out.with_name(f".{args.out.stem}.{key}.partial"))
    arrays = encode(create(card, args.checkpoint), card, dataset, index, args.raw, device, workers, partial)
    with atomic(args.out) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)
    seconds = time.perf_counter() - start
    job.record(
        args.out,
        card,
        dataset,
        args.index,
        weights,
        device=job.device_name(device),
        seconds=round(seconds, 3),
        images_per_second=round(len(index) / seconds, 3),
        failed=int((arrays["error"] != "").sum()),
    )
    partial.clear()


if __name__ == "__main__":
    job.run(main)
