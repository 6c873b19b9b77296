"""Label files as their authors released them -> one table: image, mos [, std, ref, group, split]."""

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

FIRST = 5  # how many culprits a message names


class DatasetError(ValueError):
    """A dataset that is not as its card says; the message names files and numbers."""


def some(names: list[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:FIRST]) + (", ..." if len(names) > FIRST else "")


def _csv(path: Path, labels: Labels) -> pd.DataFrame:
    """Names stay text, even those that look like numbers; a byte order mark is no part of a name."""
    known = {"names": labels.columns, "header": None} if labels.columns else {}
    engine = "c" if len(labels.separator) == 1 else "python"
    # the separator after the last column of a file without a header would make its first column the index
    return pd.read_csv(
        path, sep=labels.separator, encoding="utf-8-sig", engine=engine, dtype=str, index_col=False, **known
    )


def _xlsx(path: Path, labels: Labels) -> pd.DataFrame:
    return pd.read_excel(path, dtype={labels.image: str})


def _mat(path: Path, labels: Labels) -> pd.DataFrame:
    """Every variable of a MATLAB file as a column; cells of text are unpacked."""
    variables = {k: v.ravel() for k, v in loadmat(path).items() if not k.startswith("__")}
    return pd.DataFrame({k: [str(c.item()) for c in v] if v.dtype == object else v for k, v in variables.items()})


READERS: dict[str, Callable[[Path, Labels], pd.DataFrame]] = {"csv": _csv, "xlsx": _xlsx, "mat": _mat}


def _released(card: DatasetCard, raw: Path) -> pd.DataFrame:
    """All label files as one table with the columns of the release, and `file`, the name of the file of a row."""
    labels = card.labels
    paths = sorted(p for p in raw.glob(labels.file) if not p.name.startswith("."))
    if not paths:
        raise DatasetError(f"{card.name}: label file {raw / labels.file} is missing")
    if labels.function:
        return load_function(labels.function, card.path.parent)(paths)
    tables = []
    for path in paths:
        try:
            tables.append(READERS[labels.format](path, labels))
        except (ValueError, OSError, BadZipFile, MatReadError) as e:
            raise DatasetError(f"{path}: cannot be read as {labels.format} ({e})") from e
    if labels.format == "mat":  # one file a variable: side by side
        lengths = [f"{p.name}: {len(t)} rows" for p, t in zip(paths, tables, strict=True)]
        if len({len(t) for t in tables}) > 1:
            raise DatasetError(f"{card.name}: {some(lengths)}")
        return pd.concat(tables, axis=1)
    return pd.concat([t.assign(file=p.name) for p, t in zip(paths, tables, strict=True)], ignore_index=True)


def read_labels(card: DatasetCard, raw: Path) -> pd.DataFrame:
    """The labels under raw/<dataset>/, in the order of the release.

    Columns: image (as labelled), mos [, std, ref, group], and `official`, the value of the official split's
    column where the card names one. Raises DatasetError for a file, column or number that is not there.
    """
    labels, splits = card.labels, card.splits
    table = _released(card, raw).dropna(how="all").iloc[labels.skip :]
    columns = {k: getattr(labels, k) for k in ("image", "mos", "std", "ref", "group") if getattr(labels, k)}
    if splits and splits.column:
        columns["official"] = splits.column.column
    absent = [c for c in columns.values() if c not in table]
    if absent:
        raise DatasetError(f"{card.name}: {labels.file} has no column {some(absent)}; it has {some(list(table))}")
    table = table[list(columns.values())].set_axis(list(columns), axis=1).reset_index(drop=True)
    table = table[table["image"].notna()].reset_index(drop=True)  # sums and remarks below a spreadsheet
    table["image"] = table["image"].str.strip().str.replace("\\", "/").str.removeprefix("./")
    for column in {"mos", "std"} & set(table):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    unread = table["image"][~np.isfinite(table["mos"])].tolist()
    if unread:
        raise DatasetError(f"{card.name}: {len(unread)} images have no number as label ({some(unread)})")
    if labels.ref_pattern:
        # upper case, for a release that writes the same reference in two ways
        table["ref"] = table["image"].str.extract(labels.ref_pattern, expand=False).str.upper()
        other = table["image"][table["ref"].isna()].tolist()
        if other:
            raise DatasetError(f"{card.name}: ref_pattern does not match {len(other)} names ({some(other)})")
    for column in {"ref", "group"} & set(table):
        table[column] = table[column].astype(str).str.strip()
    return table


def without_twins(table: pd.DataFrame, card: DatasetCard) -> pd.DataFrame:
    """Rows whose image is named once. Raises DatasetError for others, unless the card leaves them out."""
    twin = table["image"].str.lower().duplicated(keep=False)
    if twin.any() and not (card.labels and card.labels.duplicates == "drop"):
        names = sorted(set(table["image"][twin]))
        raise DatasetError(f"{card.name}: {len(names)} images are named twice ({some(names)})")
    return table[~twin]
