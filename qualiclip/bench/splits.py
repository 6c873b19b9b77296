"""Train/validation/test parts, by image name. Ten random 70/10/20 splits, seeded."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qualiclip.bench.cards import Splits

N_SPLITS = 10
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


def seeded(units: pd.Series, split: int) -> pd.Series:
    """Parts of split number `split` for images whose `units` value (reference, prompt, own name) is given.

    Units are shuffled by the split's number and cut at 70% and 80%, so that images of one unit stay
    on one side. The order of rows does not matter, only the names.
    """
    names = np.sort(units.unique())
    order = np.random.default_rng([2403, 11176, split]).permutation(len(names))
    edges = np.round(np.cumsum(list(SHARES.values())) * len(names)).astype(int)
    part = np.empty(len(names), object)
    for name, start, end in zip(SHARES, [0, *edges[:-1]], edges, strict=True):
        part[order[start:end]] = name
    return units.map(dict(zip(names, part, strict=True)))


def attach(index: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    """The index with columns split_00 .. split_09."""
    units = index[splits.by or "image"].astype(str)
    columns = {f"split_{k:02d}": seeded(units, k) for k in range(N_SPLITS)}
    return pd.concat([index, pd.DataFrame(columns)], axis=1)
