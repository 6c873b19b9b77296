"""What an index, a score file, a features file and a metrics file hold: read, checked and written here alone.

Score files keep the direction of the method, an index that of its labels. `oriented` turns both so that higher is
better, here and nowhere else.

Of a set that is not here, the reason stands in place of the index and of the score files (see absence.py). A method
that could not be run has a score file with one more column, `reason`, that is the same in every row; its
metrics file is a single row with that reason.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from qualiclip.bench.absence import require
from qualiclip.io import REMEDY, DamagedFile, atomic

SCORES = ["image", "score", "error"]
METRICS = ["split", "metric", "value", "n", "reason"]
WHOLE, OFFICIAL = "all", "official"  # names of the parts that are not one of ten test parts
LABELS = ["mos", "std"]  # columns of an index that only some licences let travel
NO_LABELS = "the release of scores does not hold its labels"
TRAINED = "trained_"  # beginning of the columns of an index that hold a training list of the dataset's card


def _damaged(path: Path, why: object) -> DamagedFile:
    return DamagedFile(f"{path}: not complete ({why}); {REMEDY}")


def _read_csv(path: Path, **options) -> pd.DataFrame:
    """A CSV file whose last line is complete. Raises DamagedFile."""
    try:
        with path.open("rb") as f:
            f.seek(0, 2)
            f.seek(max(0, f.tell() - 1))
            if f.read() != b"\n":
                raise ValueError("its last line is cut off")
        return pd.read_csv(path, **options)
    except ValueError as e:  # pandas' own errors, and those of the encoding
        raise _damaged(path, e) from e


def write_csv(table: pd.DataFrame, path: Path, **options) -> None:
    """Write a table atomically, without row numbers unless `options` (of pandas) ask for them."""
    # a carriage return, in the name of a file, would be written without quotes and read as the end of a line
    texts = table.select_dtypes(exclude="number")
    broken = any(texts[c].astype(str).str.contains("\r", regex=False).any() for c in texts)
    quoting = csv.QUOTE_NONNUMERIC if broken else csv.QUOTE_MINIMAL
    with atomic(path) as temporary:
        table.to_csv(temporary, **({"index": False, "quoting": quoting} | options))


# Directions.


class Directed(Protocol):
    """What says in which direction its numbers grow: the card of a method, or the labels of a dataset's card."""

    @property
    def higher_better(self) -> bool: ...


def sign(of: Directed) -> int:
    """1 where a higher number means better quality, -1 where a lower one does."""
    return 1 if of.higher_better else -1


def oriented(values: pd.Series | np.ndarray, of: Directed) -> np.ndarray:
    """Scores or labels (n,) as float, turned so that higher is better; a missing one is NaN."""
    return np.asarray(values, float) * sign(of)


# Indexes.


def read_index(path: Path, sizes: bool = False) -> pd.DataFrame:
    """An index: image [, width, height, mos, ...], each image once. Raises DamagedFile, or NotHere.

    sizes: width and height must be there. They are absent where the labels of a set were indexed without images.
    """
    require(path)
    table = _read_csv(path)
    for column in ("image", "width", "height"):
        if column not in table and (sizes or column == "image"):
            raise _damaged(path, f"no column {column!r}")
        if column in table and table[column].isna().any():
            raise _damaged(path, f"rows without {column}")
    if table["image"].duplicated().any():
        raise _damaged(path, f"{table['image'][table['image'].duplicated()].iloc[0]} occurs twice")
    return table


def has_images(index: pd.DataFrame) -> bool:
    """Whether the images of the set are here; otherwise its labels alone were indexed."""
    return "width" in index


def has_labels(index: pd.DataFrame) -> bool:
    """Whether its labels are here: a release of scores holds them only where their licence allows it."""
    return "mos" in index


def split_columns(table: pd.DataFrame) -> list[str]:
    """split_00 .. split_09 or split_official: of an index, or of a score file with a model per split."""
    return [c for c in table if c.startswith("split_")]


def test_parts(index: pd.DataFrame) -> dict[str, np.ndarray]:
    """Name of a part -> mask (n,) of its images: `all`, then split_00 .. split_09 or `official`."""
    parts: dict[str, np.ndarray] = {WHOLE: np.ones(len(index), bool)}
    for column in split_columns(index):
        name = OFFICIAL if column == f"split_{OFFICIAL}" else column
        parts[name] = (index[column] == "test").to_numpy()
    return parts


def training_images(index: pd.DataFrame, images: str) -> np.ndarray:
    """Mask (n,) of a training list of an index. images: its name, or a column split_... whose train part is meant."""
    if images.startswith("split_"):
        return (index[images] == "train").to_numpy()
    return index[f"{TRAINED}{images}"].to_numpy(bool)


# Score files.


def refused_scores(index: pd.DataFrame, reason: str) -> pd.DataFrame:
    """The score file of a method that could not be run."""
    return pd.DataFrame({"image": index["image"], "score": np.nan, "error": "", "reason": reason})


def refusal(table: pd.DataFrame) -> str:
    """Why the method of a score file could not be run; empty if it was run."""
    return str(table["reason"].iloc[0]) if "reason" in table and len(table) else ""


def unscored(index: pd.DataFrame, error: np.ndarray) -> pd.DataFrame:
    """Rows without a score. error: (n,) why an image has none, or empty."""
    return pd.DataFrame({"image": index["image"], "score": np.nan, "error": error})[SCORES]


def read_scores(path: Path, index: pd.DataFrame | None = None, **options) -> pd.DataFrame:
    """A score file: image, score (NaN where the image failed), error (empty where it did not fail).

    Where each split has a model of its own, `score` is empty, and split_00 .. split_09 or split_official hold the
    scores of that split's test part, NaN elsewhere. A refused method has the column `reason`.
    index: its rows must be those of the index, in order. options: passed to pandas. Raises DamagedFile, or NotHere.
    """
    require(path)
    types = {"error": str, "reason": str}
    form = {"keep_default_na": False, "na_values": [""], "dtype": types, "float_precision": "round_trip"}
    table = _read_csv(path, **form, **options)
    splits = split_columns(index if index is not None else table)
    if list(table.columns) not in (SCORES, [*SCORES, *splits], [*SCORES, "reason"]):
        raise _damaged(path, f"columns {', '.join(map(str, table.columns))}, not {', '.join(SCORES)}")
    if any(not is_numeric_dtype(table[c]) and table[c].notna().any() for c in ["score", *split_columns(table)]):
        raise _damaged(path, "a score is not a number")
    table = table.fillna({"error": ""})
    if index is not None and not table["image"].equals(index["image"]):
        raise DamagedFile(f"{path}: not one row per image of the index, in its order; remove it and score again")
    return table


def scores_of_part(scores: pd.DataFrame, part: str, method: Directed) -> np.ndarray:
    """Oriented scores (n,) behind a part of `test_parts`: those of the split's own model where there is one."""
    column = f"split_{OFFICIAL}" if part == OFFICIAL else part
    return oriented(scores[column] if column in scores else scores["score"], method)


def check_scores(scores: pd.DataFrame, index: pd.DataFrame, path: Path, allow_errors: bool) -> None:
    """Raises ValueError where an image has no score, or a score by a model that was trained on it."""
    missing, own = scores["score"].isna(), split_columns(scores)
    if own:
        inside, scored = index[own] == "test", scores[own].notna()
        outside = scores["image"][(scored & ~inside).any(axis=1) | ~missing]
        if len(outside):
            raise ValueError(f"{path}: {outside.iloc[0]} has a score outside of the test parts that it is in")
        missing = (inside & ~scored).any(axis=1)
    failed = scores[missing]
    if len(failed) and not allow_errors:
        first = "; ".join(f"{r.image}: {r.error}" for r in failed.head(3).itertuples())
        raise ValueError(
            f"{path}: {len(failed)} of {len(scores)} images have no score ({first}). "
            "Repair them, remove that file and run the same command again, "
            "or correlate without them by --config allow_errors=true"
        )


# Features files.


def read_features(path: Path, index: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, str]:
    """Features (N, D), errors (N,), and why the encoder could not be run.

    Raises ValueError for another index, or NotHere.
    """
    require(path)
    with np.load(path, allow_pickle=False) as arrays:
        if not np.array_equal(arrays["image"], index["image"].to_numpy(str)):
            raise ValueError(f"{path}: not one row per image of the index, in its order; remove it")
        return arrays["features"], arrays["error"], str(arrays["reason"])


# Metrics files.


def refused_metrics(reason: str) -> pd.DataFrame:
    """The metrics file of a method that could not be run."""
    return pd.DataFrame([("", "", np.nan, 0, reason)], columns=METRICS)


def read_metrics(path: Path) -> pd.DataFrame:
    """A metrics file: split, metric, value (NaN where undefined), n, reason (empty unless refused)."""
    return pd.read_csv(path, keep_default_na=False, na_values={"value": [""]})
