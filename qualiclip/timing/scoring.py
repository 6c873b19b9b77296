"""How fast the runner is, beside pyiqa called image by image in one process.

`python -m qualiclip.timing.scoring niqe brisque --images datasets/raw/agiqa3k/AGIQA-3K --count 200 --threads 2`
Both decode the same files and score all of them; starting and loading are not counted. pyiqa has all threads
for its arithmetic, the runner has them as scoring processes. The two take turns; the median turn is printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard, Images
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.data.index import size
from qualiclip.bench.methods.load import create
from qualiclip.bench.score.run import run
from qualiclip.images import SUFFIXES


def main() -> None:
    parser = argparse.ArgumentParser(description="Images per second: pyiqa image by image, and the runner.")
    parser.add_argument("methods", nargs="+", help="method cards of pyiqa's metrics")
    parser.add_argument("--images", type=Path, required=True, help="a folder of images")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--mirror", type=Path)
    args = parser.parse_args()
    files = sorted(f for f in args.images.iterdir() if f.suffix.lower() in SUFFIXES)
    files = files[:: max(1, len(files) // args.count)][: args.count]
    sizes = [size(f) for f in files]
    index = pd.DataFrame(
        {"image": [f.name for f in files], "width": [w for w, _ in sizes], "height": [h for _, h in sizes]}
    )
    dataset = DatasetCard.model_construct(
        name=args.images.name, path=args.images, title="", family="authentic", images=Images(), citation="", license=""
    )
    print("| method | pyiqa, images/s | runner, images/s | times | largest difference |\n|---|---|---|---|---|")
    for name in args.methods:
        card = read_card(MethodCard, Path(f"baselines/{name}.yaml"))
        method: Any = create(card, mirror=args.mirror)
        rates: dict[str, list[float]] = {"pyiqa": [], "runner": []}
        method.load("cpu")
        for _ in range(args.turns):
            torch.set_num_threads(args.threads)
            start = time.perf_counter()
            theirs = [method.model(str(f)).item() for f in files]
            rates["pyiqa"].append(len(files) / (time.perf_counter() - start))
            torch.set_num_threads(1)
            start = time.perf_counter()
            ours = run(_Loaded(method), card, dataset, index, args.images.parent, "cpu", args.threads)
            rates["runner"].append(len(files) / (time.perf_counter() - start))
        far = (ours["score"] - pd.Series(theirs)).abs().max()
        a, b = (statistics.median(rates[k]) for k in ("pyiqa", "runner"))
        print(f"| {name} | {a:.2f} | {b:.2f} | {b / a:.2f} | {far:.1e} |", flush=True)


class _Loaded:
    """A method that is loaded already."""

    def __init__(self, method):
        self.score = method.score

    def load(self, device: str) -> None:
        pass


if __name__ == "__main__":
    main()
