"""Scores of whole photos at smaller sizes: the data of the figure score_vs_size.

`python -m qualiclip.bench.measure.sizes baselines/qualiclip.yaml datasets/koniq10k.yaml --index ... --out x.csv`
One row per photo and factor: image, factor (1: the photo itself), score, error (why there is no score).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from qualiclip.bench import job
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.measure import photos, scored_photos
from qualiclip.bench.methods.contract import Method
from qualiclip.bench.score.batch import Scorer
from qualiclip.images import resized
from qualiclip.tensors import to_tensor

FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0)  # of width and height


def at_sizes(method: Method, card: MethodCard, files: list[Path], dataset: DatasetCard, device: str) -> pd.DataFrame:
    """Scores of each photo, reduced by Pillow's bicubic filter, which antialiases."""
    rows = pd.DataFrame([(f.name, factor) for f in files for factor in FACTORS], columns=["image", "factor"])
    scorer = Scorer(method, rows, [f for f in files for _ in FACTORS], device, card.input)
    scored = []
    for i, file in enumerate(tqdm(files, desc=f"{card.name} against size", unit="photo")):
        photo = photos.opened(file, dataset)
        for k, factor in enumerate(FACTORS):
            small = resized(photo, max(1, round(factor * min(photo.size))))
            pixels = to_tensor(resized(small, card.input.shorter_side))
            scored += scorer([(i * len(FACTORS) + k, pixels, "")])
    return rows.assign(score=[r.score for r in scored], error=[r.error for r in scored])


def main() -> None:
    scored_photos.run("Score whole photos at smaller sizes.", at_sizes)


if __name__ == "__main__":
    job.run(main)
