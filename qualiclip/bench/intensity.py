"""Scores of photos degraded on the fly at growing intensity: the data behind score_vs_intensity.

`python -m qualiclip.bench.intensity baselines/qualiclip.yaml --index ... --out intensity/qualiclip.csv`
Columns: image, group, type, intensity (0: the photo itself, 1: level 5), score.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from qualiclip.bench import photos, provenance
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard, MethodCard
from qualiclip.bench.files import atomic, command, sha256
from qualiclip.bench.methods import Batch, Method, create
from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade
from qualiclip.tensors import pick_device


def curves(method: Method, files: list[Path], dataset: DatasetCard, device: str) -> pd.DataFrame:
    """Score each photo under each type at intensities 0, 0.2, .. 1 (levels 0 to 5)."""
    levels = torch.arange(N_LEVELS + 1.0)
    rows = []
    for i, file in enumerate(tqdm(files, desc="score against intensity", unit="photo")):
        photo = photos.read(file, dataset, device)
        for k, (kind, t) in enumerate(TYPES.items()):
            draw = Draw.sample(1, torch.Generator().manual_seed(1000 * i + k)).repeat(len(levels))
            images = degrade(photo.expand(len(levels), -1, -1, -1), kind, levels, draw)
            names = [f"{file.name}@{kind}{level:.0f}" for level in levels]
            scores = method.score(Batch(images, names, [file] * len(levels))).double().flatten().tolist()
            rows += [(file.name, t.group, kind, float(v) / N_LEVELS, s) for v, s in zip(levels, scores, strict=True)]
    return pd.DataFrame(rows, columns=["image", "group", "type", "intensity", "score"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Score photos degraded at growing intensity.")
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml of the photos")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True, help="raw root")
    parser.add_argument("--count", type=int, required=True, help="photos, spread evenly over the index")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint folder of the card's variant")
    parser.add_argument("--fitted", type=Path, help="what the method's fit has written")
    parser.add_argument("--mirror", type=Path, help="folder whose pyiqa/<file> is taken in place of the network")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    try:
        card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        method = create(card, args.checkpoint, args.mirror, fitted=args.fitted)
        method.load(device)
    except CardError as e:
        sys.exit(f"error: {e}")
    files = photos.choose(args.index, args.raw, dataset, args.count)
    out = curves(method, files, dataset, device)
    with atomic(args.out) as temporary:
        out.to_csv(temporary, index=False)
    provenance.record(args.out, method=card.name, dataset=dataset.name, photos=len(files), index=sha256(args.index))


if __name__ == "__main__":
    command(main)
