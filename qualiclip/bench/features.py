"""Features of one encoder for every image of a dataset, computed once for all methods that are trained on them.

`python -m qualiclip.bench.features baselines/qualiclip.yaml datasets/agiqa3k.yaml --index ... --out features.npz`
image (N,), features (N, D) float32 (NaN where an image failed) and error (N,), one row an image, in index order.
A killed job goes on from what it has finished.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from qualiclip.bench import provenance
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard, MethodCard
from qualiclip.bench.files import atomic, command, sha256
from qualiclip.bench.methods import Batch, Method, NotRun, create
from qualiclip.bench.parts import Parts, Row
from qualiclip.bench.runner import Scorer, batches, key, prepare, work
from qualiclip.bench.tabular import read_index
from qualiclip.config import WEIGHTS
from qualiclip.tensors import pick_device


class Encoder(Scorer):
    """Decoded images in, rows with features out."""

    def values(self, batch: Batch) -> list[Any]:
        encoder: Any = self.method  # a method with features, as `encode` has checked
        return list(encoder.features(batch).float().cpu().numpy())


class FeatureParts(Parts):
    """Finished rows of a file of features, kept so that a killed job goes on from them."""

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
    parts: FeatureParts | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of the file. A method that is NotRun has no features, and every `error` says why.

    workers, parts: as those of `runner.run`. Raises CardError for a method without features.
    """
    image = index["image"].to_numpy(str)
    try:
        method.load(device)
    except NotRun as e:
        reasons = np.full(len(index), f"not run: {e}")
        return {"image": image, "features": np.empty((len(index), 0), np.float32), "error": reasons}
    if not hasattr(method, "features"):
        raise CardError(f"{card.path}: its method has no features(batch)")
    encoder = Encoder(method, index, [raw / dataset.name / f for f in index["image"]], device, card.input)
    parts = parts or FeatureParts(None)
    todo, desc = batches(index, card.input.batch, parts.done()), f"features of {card.name} on {dataset.name}"
    with tqdm(total=len(index), initial=len(parts.done()), desc=desc, unit="image") as bar:
        try:
            for rows in work(encoder, dataset, todo, workers):
                parts.add(rows)
                bar.update(len(rows))
        finally:
            parts.write()
    found = [parts.rows[i] for i in range(len(index))]
    nothing: np.ndarray = np.full(next((len(r.score) for r in found if r.score is not None), 0), np.nan, np.float32)
    features = np.stack([nothing if r.score is None else r.score for r in found])
    return {"image": image, "features": features, "error": np.array([r.error for r in found], str)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Compute the features of every image of a dataset.")
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml")
    parser.add_argument("--index", type=Path, required=True, help="the dataset's index")
    parser.add_argument("--raw", type=Path, required=True, help="raw root")
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint folder of the card's variant")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="cores to use")
    parser.add_argument("--out", type=Path, required=True, help="features/<method>/<dataset>.npz")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that parts are written
    prepare()
    start = time.perf_counter()
    try:
        card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        index = read_index(args.index, sizes=True)
        device = pick_device("cpu" if card.input.device == "cpu" else args.device)
        workers = args.threads if args.threads > 1 else 0
        inputs = [args.index, args.checkpoint / WEIGHTS]
        made = key(card, dataset, inputs, "qualiclip.bench.features")
        parts = FeatureParts(args.out.with_name(f".{args.out.stem}.{made}.parts"))
        arrays = encode(create(card, args.checkpoint), card, dataset, index, args.raw, device, workers, parts)
    except CardError as e:
        sys.exit(f"error: {e}")
    with atomic(args.out) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)
    seconds = time.perf_counter() - start
    provenance.record(
        args.out,
        method=card.name,
        card=card.score_digest(),
        dataset=dataset.name,
        index=sha256(args.index),
        checkpoint=sha256(args.checkpoint / WEIGHTS),
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
        seconds=round(seconds, 3),
        images_per_second=round(len(index) / seconds, 3),
        failed=int((arrays["error"] != "").sum()),
    )
    parts.clear()


if __name__ == "__main__":
    command(main)
