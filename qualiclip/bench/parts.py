"""Finished rows of a score file that is still being made, kept so that a killed job goes on from them."""

from __future__ import annotations

import math
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from qualiclip.bench.files import atomic

SECONDS = 20.0  # at most so much work is lost


class Row(NamedTuple):
    """Outcome of one image: its row in the index, and a score or the reason why there is none."""

    row: int
    score: float | None
    error: str


class Parts:
    """Rows in files of one folder, each written whole; `folder` None keeps them in memory only.

    An image that failed is not taken up from an earlier run but tried again.
    """

    suffix = ".csv"

    def __init__(self, folder: Path | None, seconds: float = SECONDS):
        self.folder, self.seconds = folder, seconds
        self.rows: dict[int, Row] = {}
        self.fresh: list[Row] = []
        self.written = time.monotonic()
        self.files = 0
        # not any name: that takes in what a kill in the middle of writing leaves, .<name>.<random>.csv
        for path in sorted(folder.glob(f"[0-9]*{self.suffix}")) if folder and folder.is_dir() else []:
            self.rows |= {r.row: r for r in self.read(path) if not r.error}
            self.files = max(self.files, int(path.stem.partition("-")[0]) + 1)

    def read(self, path: Path) -> list[Row]:
        """The rows of one part."""
        table = pd.read_csv(path, float_precision="round_trip", keep_default_na=False, na_values={"score": [""]})
        return [Row(r.row, r.score, r.error) for r in table.itertuples()]

    def save(self, path: Path, rows: list[Row]) -> None:
        """Write rows as one part."""
        pd.DataFrame(rows, columns=Row._fields).to_csv(path, index=False)

    def done(self) -> set[int]:
        return set(self.rows)

    def add(self, rows: list[Row]) -> None:
        """Take rows over, and write those that are not yet on disk every `seconds`."""
        self.rows |= {r.row: r for r in rows}
        self.fresh += rows
        if time.monotonic() - self.written >= self.seconds:
            self.write()

    def write(self) -> None:
        """Write what is not yet on disk as one more part."""
        if self.folder and self.fresh:
            # with the process in its name: a job that a killed run left behind may be writing parts of its own
            with atomic(self.folder / f"{self.files:06d}-{os.getpid()}{self.suffix}") as temporary:
                self.save(temporary, self.fresh)
            self.files += 1
        self.fresh, self.written = [], time.monotonic()

    def table(self, index: pd.DataFrame) -> pd.DataFrame:
        """The score file: image, score, error, one row an image, in index order."""
        none = Row(-1, None, "it was not reached")
        rows = [self.rows.get(i, none) for i in range(len(index))]
        scores = pd.Series([math.nan if r.score is None else r.score for r in rows], dtype=float)
        return pd.DataFrame({"image": index["image"], "score": scores, "error": [r.error for r in rows]})

    def clear(self) -> None:
        """Remove the parts: the score file has them all."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
