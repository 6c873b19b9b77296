"""How much each degradation changes photos: the data of the table and the sheets of degradations.

`python -m qualiclip.bench.measure.degradations datasets/koniq10k.yaml --index ... --raw ... --count 10 --out x.npz`
The .npz holds one photo under every type and level, uint8 (H, W, 3), as <type>_<level>, and itself as `original`. The
.csv beside it holds mean changes over the photos, one row per type and level: type, group, parameter, level, value,
published, why, mae (0 to 1), psnr (dB), photos.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from qualiclip.bench import job
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.formats import write_csv
from qualiclip.bench.measure import photos
from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade
from qualiclip.degrade.arniqa import DIFFERENCES
from qualiclip.io import atomic
from qualiclip.tensors import to_image

SIDE = 384  # px, of the central square of a photo that is measured and shown


def measure(images: Tensor) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Mean changes of photos (N, 3, S, S) in [0, 1], and the first photo under every type and level, uint8 (S, S, 3).

    The random parameters of a type are seeded by its number, and shared by its levels.
    """
    rows, degraded = [], {"original": np.asarray(to_image(images[0]))}
    for k, t in enumerate(tqdm(TYPES.values(), desc="degradations", unit="type")):
        draw = Draw.sample(len(images), torch.Generator().manual_seed(k))
        for level in range(1, N_LEVELS + 1):
            out = degrade(images, t.name, torch.full((len(images),), float(level)), draw)
            mae = (out - images).abs().mean((1, 2, 3))
            psnr = -10 * (out - images).square().mean((1, 2, 3)).clamp_min(1e-10).log10()
            degraded[f"{t.name}_{level}"] = np.asarray(to_image(out[0]))
            values = (t.values[level - 1], t.published[level - 1], t.why, float(mae.mean()), float(psnr.mean()))
            rows.append((t.name, t.group, t.parameter, level, *values, len(images), DIFFERENCES.get(t.name, "same")))
    names = ["type", "group", "parameter", "level", "value", "published", "why", "mae", "psnr", "photos", "arniqa"]
    return pd.DataFrame(rows, columns=names), degraded


def main() -> None:
    names = ("dataset", "--index", "--raw", "--count", "--threads", "--out")
    args = job.parser("Degrade photos by every type and level and measure the change.", *names).parse_args()
    if job.absent([args.index], args.out, args.out.with_suffix(".csv")):
        return
    torch.set_num_threads(args.threads)
    dataset = read_card(DatasetCard, args.dataset)
    try:
        images = photos.stack(photos.choose(args.index, args.raw, dataset, args.count), dataset, SIDE)
    except OSError as e:
        sys.exit(f"error: {e}")
    table, degraded = measure(images)
    write_csv(table, args.out.with_suffix(".csv"))
    with atomic(args.out) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **degraded)
    job.record(args.out, dataset=dataset, index=args.index, photos=len(images))


if __name__ == "__main__":
    job.run(main)
