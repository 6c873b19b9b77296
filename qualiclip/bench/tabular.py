"""Read indexes and score files, and refuse what is not a whole one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from qualiclip.bench.files import DamagedFile

SCORES = ["image", "score", "error"]


def _read(path: Path, **how) -> pd.DataFrame:
    """A CSV whose last line is whole. Raises DamagedFile."""
    try:
        with path.open("rb") as f:
            f.seek(0, 2)
            f.seek(max(0, f.tell() - 1))
            if f.read() != b"\n":
                raise ValueError("its last line is cut off")
        return pd.read_csv(path, **how)
    except ValueError as e:  # pandas' own, and those of the encoding
        raise _damaged(path, e) from e


def _damaged(path: Path, why: object) -> DamagedFile:
    return DamagedFile(f"{path}: not whole ({why}); remove it and run the same command again")


def read_index(path: Path, sizes: bool = False) -> pd.DataFrame:
    """An index: image [, width, height, mos, ...], each image once. Raises DamagedFile.

    sizes: width and height must be there; they are not where a set's labels alone were indexed.
    """
    table = _read(path)
    for column in ("image", "width", "height"):
        if column not in table and (sizes or column == "image"):
            raise _damaged(path, f"no column {column!r}")
        if column in table and table[column].isna().any():
            raise _damaged(path, f"rows without {column}")
    if table["image"].duplicated().any():
        raise _damaged(path, f"{table['image'][table['image'].duplicated()].iloc[0]} stands twice")
    return table


def read_scores(path: Path, index: pd.DataFrame | None = None, **how) -> pd.DataFrame:
    """A score file: image, score (NaN where the image failed), error (empty where it did not).

    Of a method trained within splits `score` is empty, and split_00 .. split_09 or split_official hold what the
    model of that split says of its test part, NaN elsewhere.
    index: what its rows must be those of, in order. how: further words to pandas. Raises DamagedFile.
    """
    form = {"keep_default_na": False, "na_values": [""], "dtype": {"error": str}, "float_precision": "round_trip"}
    table = _read(path, **form, **how)
    splits = [c for c in index if c.startswith("split_")] if index is not None else list(table.columns[len(SCORES) :])
    if list(table.columns) not in (SCORES, SCORES + splits):
        raise _damaged(path, f"columns {', '.join(map(str, table.columns))}, not {', '.join(SCORES)}")
    if any(not is_numeric_dtype(table[c]) and table[c].notna().any() for c in table if c not in ("image", "error")):
        raise _damaged(path, "a score is no number")
    table = table.fillna({"error": ""})
    if index is not None and not table["image"].equals(index["image"]):
        raise DamagedFile(f"{path}: not one row per image of the index, in its order; remove it and score again")
    return table
