"""Scores of photos that are degraded on the fly at growing intensity: the data of the figure score_vs_intensity.

`python -m qualiclip.bench.measure.intensity baselines/qualiclip.yaml datasets/koniq10k.yaml --index ... --out x.csv`
One row per photo, degradation type and intensity: image, group, type, intensity (0: the photo itself, 1: level 5),
score.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from qualiclip.bench import job
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.measure import photos, scored_photos
from qualiclip.bench.methods.contract import Batch, Method
from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade


def curves(method: Method, card: MethodCard, files: list[Path], dataset: DatasetCard, device: str) -> pd.DataFrame:
    """Scores of each photo under each degradation type at intensities 0, 0.2, .. 1 (levels 0 to 5).

    The random parameters are seeded by the numbers of photo and type, and shared by the levels.
    """
    levels = torch.arange(N_LEVELS + 1.0)
    rows = []
    for i, file in enumerate(tqdm(files, desc=f"{card.name} against intensity", unit="photo")):
        photo = photos.read(file, dataset, device)
        for k, t in enumerate(TYPES.values()):
            draw = Draw.sample(1, torch.Generator().manual_seed(1000 * i + k)).repeat(len(levels))
            images = degrade(photo.expand(len(levels), -1, -1, -1), t.name, levels, draw)
            names = [f"{file.name}@{t.name}{level:.0f}" for level in levels]
            scores = method.score(Batch(images, names, [file] * len(levels))).double().flatten().tolist()
            rows += [(file.name, t.group, t.name, float(v) / N_LEVELS, s) for v, s in zip(levels, scores, strict=True)]
    return pd.DataFrame(rows, columns=["image", "group", "type", "intensity", "score"])


def main() -> None:
    scored_photos.run("Score photos degraded at growing intensity.", curves)


if __name__ == "__main__":
    job.run(main)
