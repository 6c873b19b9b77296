"""Reads label files as their authors released them, into one table: image, mos [, std, ref, group, type, official]."""

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
from qualiclip.bench.data import text_table
from qualiclip.bench.formats import TRAINED
from qualiclip.folders import hidden

MAX_NAMES = 5  # names in a message


class DatasetError(ValueError):
    """A dataset that is not as its card states. The message names the files and the numbers."""


def listed(names: list[str]) -> str:
    """The first few of many names, for a message."""
    return ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")


def _csv(path: Path, labels: Labels) -> pd.DataFrame:
    """A text table. All values stay text, so that an image named 007 keeps its name."""
    return text_table.read(path.read_bytes(), str(path), labels.separator, labels.encoding, labels.columns)


def _xlsx(path: Path, labels: Labels) -> pd.DataFrame:
    """The first sheet of a spreadsheet; names of images stay text."""
    table = pd.read_excel(path, dtype={labels.image: str})
    return table.set_axis(table.index + 2)  # as the spreadsheet numbers its rows


def _mat(path: Path, labels: Labels) -> pd.DataFrame:
    """The variables of a MATLAB file as columns; a cell array becomes text."""
    with path.open("rb") as f:
        if f.read(20).startswith(b"MATLAB 7.3"):
            raise DatasetError(f"{path}: a file of MATLAB 7.3; save it by save(..., '-v7'), or as CSV")
    variables = {k: v.ravel() for k, v in loadmat(path).items() if not k.startswith("__")}
    return pd.DataFrame({k: [str(c.item()) for c in v] if v.dtype == object else v for k, v in variables.items()})


READERS: dict[str, Callable[[Path, Labels], pd.DataFrame]] = {"csv": _csv, "xlsx": _xlsx, "mat": _mat}


def _released(card: DatasetCard, raw: Path) -> pd.DataFrame:
    """All label files as one table with the columns of the release, and `file`: the name of the file of each row.

    Raises DatasetError.
    """
    # find the files
    labels = card.labels
    named = raw / labels.file
    paths = [named] if named.is_file() else sorted(p for p in raw.glob(labels.file) if not hidden(p.name))
    if not paths:
        raise DatasetError(f"{card.name}: label file {raw / labels.file} is missing")
    # read them
    if labels.function:
        return load_function(labels.function, card.path.parent)(paths)
    tables = []
    for path in paths:
        try:
            tables.append(READERS[labels.format](path, labels))
        except (text_table.TableError, DatasetError) as e:
            raise DatasetError(f"{card.name}: {e}") from e
        except (ValueError, OSError, BadZipFile, MatReadError, NotImplementedError, TypeError) as e:
            raise DatasetError(f"{path}: cannot be read as {labels.format} ({e})") from e
    # join them: MATLAB files, each with other variables, side by side, others one below the other
    if labels.format == "mat":
        lengths = [f"{p.name}: {len(t)} rows" for p, t in zip(paths, tables, strict=True)]
        if len({len(t) for t in tables}) > 1:
            raise DatasetError(f"{card.name}: label files of different lengths: {listed(lengths)}")
        return pd.concat(tables, axis=1)
    return pd.concat([t.assign(file=p.name) for p, t in zip(paths, tables, strict=True)])


def _numbers(table: pd.DataFrame, column: str, name: str, card: DatasetCard) -> np.ndarray:
    """The numbers of a column, NaN where a deviation is empty. Raises DatasetError that names rows and values.

    name: the column in the release. The row labels of the table are the rows of its file.
    """
    values = text_table.numbers(table[column], card.labels.decimal)
    bad = np.isnan(values) & (table[column].notna() | (column == "mos")).to_numpy()
    if bad.any():
        rows = [f"{r.image}, row {r.Index}: {getattr(r, column)!r}" for r in table[bad].itertuples()]
        comma = table[column][bad].astype(str).str.contains(",").any()
        remedy = "; with a decimal comma, say decimal: ','" if comma else ""
        raise DatasetError(
            f"{card.name}: {len(rows)} images have no number in the column {name} ({listed(rows)}){remedy}"
        )
    return values


def _group(names: pd.Series, card: DatasetCard, key: str) -> pd.Series:
    """What the group of a pattern of the card matches in each name. Raises DatasetError where there is no match."""
    found = names.str.extract(getattr(card.labels, key), expand=False)
    unmatched = names[found.isna()].tolist()
    if unmatched:
        raise DatasetError(f"{card.name}: {key} does not match {len(unmatched)} names ({listed(unmatched)})")
    return found


def read_labels(card: DatasetCard, raw: Path) -> pd.DataFrame:
    """The labels under raw = raw/<dataset>/, in the order of the release.

    Columns: image (the name in the label file), mos [, std, ref, group, type], and `official`, the column of the
    official split where the card names one. Raises DatasetError for a missing file, column or number.
    """
    # the columns that the card names
    labels, splits = card.labels, card.splits
    released = _released(card, raw)
    table = released.dropna(how="all").iloc[labels.skip :]
    columns = {k: getattr(labels, k) for k in ("image", "mos", "std", "ref", "group", "type") if getattr(labels, k)}
    if splits and splits.column:
        columns["official"] = splits.column.column
    columns |= {f"{TRAINED}{name}": t.column for name, t in card.training_lists.items() if t.column}
    absent = [c for c in columns.values() if c not in table]
    if absent:
        has = [str(c) for c in table if c != "file"]
        hint = text_table.hint(released[has])
        raise DatasetError(f"{card.name}: {labels.file} has no column {listed(absent)}; it has {listed(has)}{hint}")
    table = table[list(columns.values())].set_axis(list(columns), axis=1)
    table = table[table["image"].notna()]  # without sums and remarks below a spreadsheet
    if not len(table):
        raise DatasetError(f"{card.name}: {labels.file} names no image")
    # names and numbers
    table["image"] = table["image"].str.strip().str.replace("\\", "/").str.removeprefix("./")
    for column in [c for c in ("mos", "std") if c in table]:
        table[column] = _numbers(table, column, columns[column], card)
    for column in [c for c in ("ref", "group", "type") if c in table]:
        empty = table["image"][table[column].isna()].tolist()
        if empty:
            problem = f"{len(empty)} images have no value in the column {columns[column]} ({listed(empty)})"
            raise DatasetError(f"{card.name}: {problem}; fill it, or leave `{column}` out of the card")
    table = table.reset_index(drop=True)
    # parts of the names; a reference in upper case, as a release may write the same one in two ways
    if labels.ref_pattern:
        table["ref"] = _group(table["image"], card, "ref_pattern").str.upper()
    if labels.type_pattern:
        table["type"] = _group(table["image"], card, "type_pattern")
    if labels.image_pattern:
        table["image"] = _group(table["image"], card, "image_pattern")
    # references, groups and types
    for column in {"ref", "group", "type"} & set(table):
        table[column] = table[column].astype(str).str.strip()
    if labels.types:
        unnamed = sorted(set(table["type"]) - set(labels.types))
        if unnamed:
            raise DatasetError(f"{card.name}: types has no name for {listed(unnamed)}")
        table["type"] = table["type"].map(labels.types)
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
