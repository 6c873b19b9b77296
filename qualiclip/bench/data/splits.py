"""Train, validation and test parts by image name: seeded random splits, split files, or a column of the labels.

Besides: the images that released weights were trained on elsewhere.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd

from qualiclip.bench.cards.dataset import SplitColumn, SplitFiles, Splits, TrainingList
from qualiclip.bench.formats import TRAINED

N_SPLITS = 10
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
MIN_UNITS = 10  # fewer of them cannot be cut ten times into parts that differ: each is left out once instead


class SplitError(ValueError):
    """Split files, or a split column, that do not fit the labels. The message names the file and the numbers."""


def seeded(units: pd.Series, split: int) -> pd.Series:
    """The part (train, val or test) of each image in split number `split`.

    units: (n,) what may not be divided: the reference, the group, or the name of each image. The distinct units are
    sorted, shuffled by a generator that is seeded by the number of the split, and cut at 70% and 80%; the order of the
    rows does not matter.
    """
    names = np.sort(units.unique())
    order = np.random.default_rng([2403, 11176, split]).permutation(len(names))
    edges = np.round(np.cumsum(list(SHARES.values())) * len(names)).astype(int)
    part: np.ndarray = np.empty(len(names), object)
    for name, start, end in zip(SHARES, [0, *edges[:-1]], edges, strict=True):
        part[order[start:end]] = name
    return units.map(dict(zip(names, part, strict=True)))


def leave_one_out(units: pd.Series) -> list[pd.Series]:
    """One split per distinct unit: it is the test part, the next one the val part (from three units on)."""
    names = np.sort(units.unique())
    parts = []
    for k in range(len(names)):
        part = pd.Series("train", units.index)
        if len(names) > 2:
            part[units == names[(k + 1) % len(names)]] = "val"
        parts.append(part.mask(units == names[k], "test"))
    return parts


def _row_numbers(path: Path, n: int) -> list[np.ndarray]:
    """Row numbers of every split of a file, without the padding of -1. Raises SplitError for others than 0..n-1."""
    try:
        numbers = np.atleast_2d(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as e:
        raise SplitError(f"{path}: not a split file ({e})") from e
    rows = [row[row != -1] for row in numbers]
    low, high = min(r.min() for r in rows), max(r.max() for r in rows)
    if low < 0 or high >= n:
        raise SplitError(f"{path}: row numbers {low}..{high}, the labels have rows 0..{n - 1}")
    return rows


def from_files(names: pd.Series, raw: Path, files: SplitFiles) -> dict[str, pd.Series]:
    """Columns split_00, split_01, ... or split_official, read from the split files of a release.

    names: (n,) labelled images, in the order of the release. An image in no part has an empty value.
    Raises SplitError where the counts are not those of the card, or an image is in two parts.
    """
    # the row of the labels that each number means, and the numbers of each part and split
    rows = np.argsort(names.to_numpy(), kind="stable") if files.order == "names" else np.arange(len(names))
    parts = {part: _row_numbers(raw / getattr(files, part), len(names)) for part in SHARES}
    if len({len(p) for p in parts.values()}) > 1:
        raise SplitError(f"{raw / files.train} and the files of the other parts hold different numbers of splits")
    single = np.load(raw / files.train).ndim == 1
    # one column per split
    columns = {}
    for k, split in enumerate(zip(*parts.values(), strict=True)):
        sizes = tuple(len(np.unique(s)) for s in split)
        if files.counts and sizes != files.counts:
            raise SplitError(
                f"{raw / files.train}: split {k} has {sizes} images in train, val, test, not {files.counts}"
            )
        if len(np.unique(np.concatenate(split))) != sum(map(len, split)):
            raise SplitError(f"{raw / files.train}: split {k} has images in two parts, or twice in one")
        column: np.ndarray = np.full(len(names), "", object)
        for part, numbers in zip(SHARES, split, strict=True):
            column[rows[numbers]] = part
        columns["split_official" if single else f"split_{k:02d}"] = pd.Series(column, names.index)
    return columns


def from_column(values: pd.Series, column: SplitColumn) -> dict[str, pd.Series]:
    """The column split_official, from a column of the label file.

    values: (n,) of that column. Raises SplitError for a value that the card does not name, and for other counts than
    those of the card.
    """
    part_of_value = {value: part for part in SHARES for value in getattr(column, part)}
    unknown = sorted(set(values.astype(str)) - set(part_of_value))
    if unknown:
        raise SplitError(f"column {column.column}: {', '.join(unknown[:5])} is neither train nor val nor test")
    parts = values.astype(str).map(part_of_value)
    sizes = tuple(int((parts == p).sum()) for p in SHARES)
    if sizes != column.counts:
        raise SplitError(f"column {column.column}: {sizes} images in train, val, test, not {column.counts}")
    return {"split_official": parts}


def _check_undivided(units: pd.Series, columns: dict[str, pd.Series], file: Path) -> None:
    """Raises SplitError where images of one unit, a reference or a group, are in two parts of a split of `file`."""
    for name, parts in columns.items():
        counts = parts[parts != ""].groupby(units).nunique()
        if (counts > 1).any():
            raise SplitError(
                f"{file}: {name} has images of {units.name} {counts.idxmax()} in two parts; its numbers may count"
                " the rows of another release of the labels"
            )


def in_list(labels: pd.DataFrame, name: str, images: TrainingList) -> pd.Series:
    """Whether each image of a release is in a training list.

    labels: all rows, in the order of the release, with the column of the list under `TRAINED` and its name. Rows are
    shuffled as IQA-PyTorch's scripts for its split files do.
    """
    if images.seed is None:
        return labels[f"{TRAINED}{name}"].astype(str).isin(images.values)
    rows = list(range(len(labels)))
    random.Random(images.seed).shuffle(rows)
    inside: np.ndarray = np.zeros(len(rows), bool)
    inside[rows[: round(images.share * len(rows))]] = True
    return pd.Series(inside, labels.index)


def attach(labels: pd.DataFrame, splits: Splits, raw: Path | None = None) -> pd.DataFrame:
    """The labels of a release, with columns split_00 .. split_09 or split_official in place of `official`.

    labels: all rows, in the order of the release. Images must be left out afterwards, so that the others keep their
    parts. raw: raw/<dataset>/, for split files. Raises SplitError.
    """
    if splits.use == "files":
        columns = from_files(labels["image"], raw, splits.files)
        if splits.by:
            _check_undivided(labels[splits.by], columns, raw / splits.files.train)
    elif splits.use == "column":
        columns = from_column(labels["official"], splits.column)
    else:
        units = labels[splits.by or "image"].astype(str)
        few = units.nunique() < MIN_UNITS
        parts = leave_one_out(units) if few else [seeded(units, k) for k in range(N_SPLITS)]
        columns = {f"split_{k:02d}": part for k, part in enumerate(parts)}
    return pd.concat([labels.drop(columns="official", errors="ignore"), pd.DataFrame(columns)], axis=1)
