"""What the degradations do to photos: the data behind the table and the sheets of degradations.

`python -m qualiclip.bench.degraded datasets/koniq10k.yaml --index ... --raw ... --count 10 --out degraded/koniq10k.npz`
The .npz holds one photo under every type and level, uint8 (H, W, 3); the .csv beside it the mean
change over the photos: type, group, parameter, level, value, published, why, mae (0..1), psnr (dB), photos.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from qualiclip.bench import photos, provenance
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard
from qualiclip.bench.files import atomic, command, sha256
from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade
from qualiclip.tensors import to_image

SIDE = 384  # px: what is measured and shown


def measure(images: Tensor) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Change of photos (N, 3, S, S) under each type and level, and the first photo as degraded."""
    rows, shown = [], {"original": np.asarray(to_image(images[0]))}
    for k, t in enumerate(tqdm(TYPES.values(), desc="degradations", unit="type")):
        draw = Draw.sample(len(images), torch.Generator().manual_seed(k))
        for level in range(1, N_LEVELS + 1):
            out = degrade(images, t.name, torch.full((len(images),), float(level)), draw)
            mae = (out - images).abs().mean((1, 2, 3))
            psnr = -10 * (out - images).square().mean((1, 2, 3)).clamp_min(1e-10).log10()
            shown[f"{t.name}_{level}"] = np.asarray(to_image(out[0]))
            values = (t.values[level - 1], t.published[level - 1], t.why, float(mae.mean()), float(psnr.mean()))
            rows.append((t.name, t.group, t.parameter, level, *values, len(images)))
    names = ["type", "group", "parameter", "level", "value", "published", "why", "mae", "psnr", "photos"]
    return pd.DataFrame(rows, columns=names), shown


def main() -> None:
    parser = argparse.ArgumentParser(description="Degrade photos by every type and level and measure the change.")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml of the photos")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True, help="raw root")
    parser.add_argument("--count", type=int, required=True, help="photos, spread evenly over the index")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help=".npz; .csv beside it")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        dataset = read_card(DatasetCard, args.dataset)
        images = photos.stack(photos.choose(args.index, args.raw, dataset, args.count), dataset, SIDE)
    except (CardError, OSError) as e:
        sys.exit(f"error: {e}")
    table, shown = measure(images)
    with atomic(args.out.with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False)
    with atomic(args.out) as temporary:
        np.savez_compressed(temporary, **shown)
    provenance.record(args.out, dataset=dataset.name, photos=len(images), index=sha256(args.index))


if __name__ == "__main__":
    command(main)
