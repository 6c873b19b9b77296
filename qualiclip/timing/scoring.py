"""Speed of the scoring job, compared with pyiqa called image by image in one process.

`python -m qualiclip.timing.scoring niqe brisque --images datasets/raw/agiqa3k/AGIQA-3K --count 200 --threads 2`
Both decode and score the same files; starting and loading are not counted. pyiqa computes with `--threads` threads, the
scoring job with as many processes of one thread. They take turns, and the median turn is printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from qualiclip.bench.cards.base import METHODS, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.methods.load import create
from qualiclip.bench.score.run import run
from qualiclip.images import SUFFIXES, image_size


class Loaded:
    """A method that is loaded already."""

    def __init__(self, method: Any):
        self.score = method.score

    def load(self, device: str) -> None:
        """Nothing to do."""


def timed(name: str, dataset: DatasetCard, index: pd.DataFrame, raw: Path, args: argparse.Namespace) -> str:
    """Score the images of an index with one metric of pyiqa, in both ways by turns. Returns a row of the table."""
    card = read_card(MethodCard, METHODS / f"{name}.yaml")
    method: Any = create(card, mirror=args.mirror)
    method.load("cpu")
    files = [raw / dataset.name / f for f in index["image"]]
    rates: dict[str, list[float]] = {"pyiqa": [], "job": []}
    for _ in range(args.turns):
        # pyiqa, image by image
        torch.set_num_threads(args.threads)
        start = time.perf_counter()
        theirs = [method.model(str(f)).item() for f in files]
        rates["pyiqa"].append(len(files) / (time.perf_counter() - start))
        # the scoring job, in processes of one thread
        torch.set_num_threads(1)
        start = time.perf_counter()
        ours = run(Loaded(method), card, dataset, index, raw, "cpu", args.threads)
        rates["job"].append(len(files) / (time.perf_counter() - start))
    difference = (ours["score"] - pd.Series(theirs)).abs().max()
    a, b = (statistics.median(rates[k]) for k in ("pyiqa", "job"))
    return f"| {name} | {a:.2f} | {b:.2f} | {b / a:.2f} | {difference:.1e} |"


def folder_set(files: list[Path]) -> tuple[DatasetCard, pd.DataFrame]:
    """Files of one folder as a dataset of its own: its card, and its index with sizes."""
    sizes = [image_size(f) for f in files]
    index = pd.DataFrame(
        {"image": [f.name for f in files], "width": [w for w, _ in sizes], "height": [h for _, h in sizes]}
    )
    folder = files[0].parent
    facts = {"title": "", "family": "authentic", "citation": "", "license": ""}
    return DatasetCard(name=folder.name, path=folder, folder=folder, **facts), index


def main() -> None:
    parser = argparse.ArgumentParser(description="Images per second of pyiqa image by image, and of the scoring job.")
    parser.add_argument("methods", nargs="+", help="method cards of pyiqa's metrics")
    parser.add_argument("--images", type=Path, required=True, help="a folder of images")
    parser.add_argument("--count", type=int, default=200, help="images, spread evenly (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument(
        "--turns", type=int, default=3, help="timed runs of each; the median counts (default: %(default)s)"
    )
    parser.add_argument("--mirror", type=Path, help="folder of local files used in place of the network")
    args = parser.parse_args()
    files = sorted(f for f in args.images.iterdir() if f.suffix.lower() in SUFFIXES)
    files = files[:: max(1, len(files) // args.count)][: args.count]
    dataset, index = folder_set(files)
    # one row per method
    print("| method | pyiqa, images/s | job, images/s | ratio | largest difference |\n|---|---|---|---|---|")
    for name in args.methods:
        print(timed(name, dataset, index, args.images.parent, args), flush=True)


if __name__ == "__main__":
    main()
