"""Seconds to correlate a whole benchmark: `python -m qualiclip.timing.correlations --methods 30 --processes 2`.

Writes made-up score files for the paper's eight sets (their real sizes, ten test parts each) into a temporary folder,
and times what the metrics jobs do with them: read, check, correlate, fit, write.
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
from qualiclip.bench.formats import write_csv
from qualiclip.bench.metrics import correlate

SIZES = {  # dataset -> number of images
    "koniq10k": 10073,
    "clive": 1162,
    "flive": 39807,
    "spaq": 11125,
    "cviu": 1620,
    "pipal": 23200,
    "agiqa1k": 1080,
    "agiqa3k": 2982,
}
METHOD = MethodCard(
    name="m", path=Path("m.yaml"), title="m", family="control", higher_better=True, citation="", license="", rule=True
)
DATASET = DatasetCard(
    name="d",
    path=Path("d.yaml"),
    title="d",
    family="authentic",
    folder=Path("d"),
    labels={"format": "csv", "file": "x.csv", "range": (0, 100)},
    images={"count": 1},
    citation="",
    license="",
)


def made_up_index(n: int, seed: int) -> pd.DataFrame:
    """An index of n images with normal labels and ten seeded splits."""
    mos = np.random.default_rng(seed).normal(50, 15, n).round(2)
    return attach(pd.DataFrame({"image": [f"{i}.png" for i in range(n)], "mos": mos}), Splits())


def made_up_files(folder: Path, methods: int) -> list[tuple[Path, Path, Path]]:
    """Write an index per dataset and a score file per method and dataset: (scores, index, metrics file to write)."""
    files = []
    for d, (name, n) in enumerate(SIZES.items()):
        index = made_up_index(n, d)
        write_csv(index, folder / f"{name}.csv")
        for m in range(methods):
            noise = np.random.default_rng([d, m]).normal(0, 5 + m, n)
            scores = folder / f"{m}-{name}.csv"
            write_csv(pd.DataFrame({"image": index["image"], "score": index["mos"] + noise, "error": ""}), scores)
            files.append((scores, folder / f"{name}.csv", folder / f"{m}-{name}.out.csv"))
    return files


def correlate_one(files: tuple[Path, Path, Path]) -> None:
    """What the metrics job of one method and dataset does."""
    scores, index, out = files
    write_csv(correlate.metrics_of(scores, index, METHOD, DATASET), out)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time the correlations of a whole benchmark.")
    parser.add_argument("--methods", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--processes", type=int, default=2, help="default: %(default)s")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        files = made_up_files(Path(folder), args.methods)
        start = time.perf_counter()
        with ProcessPoolExecutor(args.processes) as pool:
            list(pool.map(correlate_one, files))
        seconds = time.perf_counter() - start
    print(f"{args.methods} methods x {len(SIZES)} datasets x 10 splits: {seconds:.1f} s, {args.processes} processes")


if __name__ == "__main__":
    main()
