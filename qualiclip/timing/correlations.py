"""Seconds to correlate a whole benchmark: `python -m qualiclip.timing.correlations --methods 30 --processes 2`.

Writes made-up score files of the paper's eight sets (their real sizes, ten test parts each) into a
temporary folder and times what the metrics jobs do with them: read, check, correlate, fit, write.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from qualiclip.bench.cards.dataset import DatasetCard, Splits
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.data.splits import attach
from qualiclip.bench.metrics import correlate

SIZES = {
    "koniq10k": 10073,
    "clive": 1162,
    "flive": 39807,
    "spaq": 11125,
    "cviu": 1620,
    "pipal": 23200,
    "agiqa1k": 1080,
    "agiqa3k": 2982,
}
METHOD = {"name": "m", "path": "m.yaml", "title": "m", "family": "control", "higher_better": True, "citation": ""}
DATASET = {
    "name": "d",
    "path": "d.yaml",
    "title": "d",
    "family": "authentic",
    "folder": "d",
    "citation": "",
    "license": "",
}


def _index(n: int, seed: int) -> pd.DataFrame:
    mos = np.random.default_rng(seed).normal(50, 15, n).round(2)
    return attach(pd.DataFrame({"image": [f"{i}.png" for i in range(n)], "mos": mos}), Splits())


def _one(files: tuple[Path, Path, Path]) -> None:
    scores, index, out = files
    method = MethodCard(**METHOD, license="", rule=True)
    labels = {"format": "csv", "file": "x.csv", "range": (0, 100)}
    dataset = DatasetCard(**DATASET, labels=labels, images={"count": 1})
    correlate.metrics_of(scores, index, method, dataset).to_csv(out, index=False)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time the correlations of a whole benchmark.")
    parser.add_argument("--methods", type=int, default=30)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for d, (name, n) in enumerate(SIZES.items()):
            index = _index(n, d)
            index.to_csv(Path(folder) / f"{name}.csv", index=False)
            for m in range(args.methods):
                noise = np.random.default_rng([d, m]).normal(0, 5 + m, n)
                scores = pd.DataFrame({"image": index["image"], "score": index["mos"] + noise, "error": ""})
                path = Path(folder) / f"{m}-{name}.csv"
                scores.to_csv(path, index=False)
                jobs.append((path, Path(folder) / f"{name}.csv", Path(folder) / f"{m}-{name}.out.csv"))
        start = time.perf_counter()
        with ProcessPoolExecutor(args.processes) as pool:
            list(pool.map(_one, jobs))
        seconds = time.perf_counter() - start
    print(f"{args.methods} methods x {len(SIZES)} datasets x 10 splits: {seconds:.1f} s, {args.processes} processes")


if __name__ == "__main__":
    main()
