"""Reads label files as their authors released them, into one table: image, mos [, std, ref, group, official]."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from qualiclip.bench.cards.base import load_function
from qualiclip.bench.cards.dataset import DatasetCard, Labels
from qualiclip.bench.formats import TRAINED

MAX_NAMES = 5  # names in a message


class DatasetError(ValueError):
    """A dataset that is not as its card states. The message names the files and the numbers."""


def listed(names: list[str]) -> str:
    """The first few of many names, for a message."""
    return ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")


def _csv(path: Path, labels: Labels) -> pd.DataFrame:
    """A text table. All values stay text, so that an image named 007 keeps its name; a byte order mark is removed."""
    header = {"names": labels.columns, "header": None} if labels.columns else {}
    engine = "c" if len(labels.separator) == 1 else "python"
    # the separator after the last column of a file without a header would make its first column the index
    return pd.read_csv(
        path, sep=labels.separator, encoding="utf-8-sig", engine=engine, dtype=str, index_col=False, **header
    )


def _xlsx(path: Path, labels: Labels) -> pd.DataFrame:
    """The first sheet of a spreadsheet; names of images stay text."""
    return pd.read_excel(path, dtype={labels.image: str})


def _mat(path: Path, labels: Labels) -> pd.DataFrame:
    """The variables of a MATLAB file as columns; a cell array becomes text."""
    variables = {k: v.ravel() for k, v in loadmat(path).items() if not k.startswith("__")}
    return pd.DataFrame({k: [str(c.item()) for c in v] if v.dtype == object else v for k, v in variables.items()})


READERS: dict[str, Callable[[Path, Labels], pd.DataFrame]] = {"csv": _csv, "xlsx": _xlsx, "mat": _mat}


def _released(card: DatasetCard, raw: Path) -> pd.DataFrame:
    """All label files as one table with the columns of the release, and `file`: the name of the file of each row.

    Raises DatasetError.
    """
    # find the files
    labels = card.labels
    paths = sorted(p for p in raw.glob(labels.file) if not p.name.startswith("."))
    if not paths:
        raise DatasetError(f"{card.name}: label file {raw / labels.file} is missing")
    # read them
    if labels.function:
        return load_function(labels.function, card.path.parent)(paths)
    tables = []
    for path in paths:
        try:
            tables.append(READERS[labels.format](path, labels))
        except (ValueError, OSError, BadZipFile, MatReadError) as e:
            raise DatasetError(f"{path}: cannot be read as {labels.format} ({e})") from e
    # join them: MATLAB files, each with other variables, side by side, others one below the other
    if labels.format == "mat":
        lengths = [f"{p.name}: {len(t)} rows" for p, t in zip(paths, tables, strict=True)]
        if len({len(t) for t in tables}) > 1:
            raise DatasetError(f"{card.name}: label files of different lengths: {listed(lengths)}")
        return pd.concat(tables, axis=1)
    return pd.concat([t.assign(file=p.name) for p, t in zip(paths, tables, strict=True)], ignore_index=True)


def _group(names: pd.Series, card: DatasetCard, key: str) -> pd.Series:
    """What the group of a pattern of the card matches in each name. Raises DatasetError where there is no match."""
    found = names.str.extract(getattr(card.labels, key), expand=False)
    unmatched = names[found.isna()].tolist()
    if unmatched:
        raise DatasetError(f"{card.name}: {key} does not match {len(unmatched)} names ({listed(unmatched)})")
    return found


def read_labels(card: DatasetCard, raw: Path) -> pd.DataFrame:
    """The labels under raw = raw/<dataset>/, in the order of the release.

    Columns: image (the name in the label file), mos [, std, ref, group], and `official`, the column of the official
    split where the card names one. Raises DatasetError for a missing file, column or number.
    """
    # the columns that the card names
    labels, splits = card.labels, card.splits
    table = _released(card, raw).dropna(how="all").iloc[labels.skip :]
    columns = {k: getattr(labels, k) for k in ("image", "mos", "std", "ref", "group") if getattr(labels, k)}
    if splits and splits.column:
        columns["official"] = splits.column.column
    columns |= {f"{TRAINED}{name}": t.column for name, t in card.training_lists.items() if t.column}
    absent = [c for c in columns.values() if c not in table]
    if absent:
        raise DatasetError(f"{card.name}: {labels.file} has no column {listed(absent)}; it has {listed(list(table))}")
    table = table[list(columns.values())].set_axis(list(columns), axis=1).reset_index(drop=True)
    # names and numbers
    table = table[table["image"].notna()].reset_index(drop=True)  # without sums and remarks below a spreadsheet
    table["image"] = table["image"].str.strip().str.replace("\\", "/").str.removeprefix("./")
    for column in {"mos", "std"} & set(table):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    unlabelled = table["image"][~np.isfinite(table["mos"])].tolist()
    if unlabelled:
        raise DatasetError(f"{card.name}: {len(unlabelled)} images have no number as label ({listed(unlabelled)})")
    # parts of the names; a reference in upper case, as a release may write the same one in two ways
    if labels.ref_pattern:
        table["ref"] = _group(table["image"], card, "ref_pattern").str.upper()
    if labels.image_pattern:
        table["image"] = _group(table["image"], card, "image_pattern")
    # references and groups
    for column in {"ref", "group"} & set(table):
        table[column] = table[column].astype(str).str.strip()
    return table


def without_duplicates(table: pd.DataFrame, card: DatasetCard) -> pd.DataFrame:
    """The table without images that occur twice; case does not count.

    Raises DatasetError for such images, unless the card says `duplicates: drop`.
    """
    duplicate = table["image"].str.lower().duplicated(keep=False)
    if duplicate.any() and not (card.labels and card.labels.duplicates == "drop"):
        names = sorted(set(table["image"][duplicate]))
        raise DatasetError(f"{card.name}: {len(names)} images are named twice ({listed(names)})")
    return table[~duplicate]
