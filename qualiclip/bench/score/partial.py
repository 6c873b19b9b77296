"""Partial results: a killed scoring job resumes from these files."""

from __future__ import annotations

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from qualiclip.io import atomic

SECONDS = 20.0  # between two writes: so much work is lost at most


class Row(NamedTuple):
    """Outcome of one image: its row in the index, and a score (or features) or the reason why there is none."""

    row: int
    score: Any
    error: str


class Partial:
    """Finished rows, in files of one folder, each written atomically. `folder` None keeps them in memory only.

    Failed images are retried on resume.
    """

    suffix = ".csv"

    def __init__(self, folder: Path | None, seconds: float = SECONDS):
        self.folder, self.seconds = folder, seconds
        self.rows: dict[int, Row] = {}
        self.unwritten: list[Row] = []
        self.written_at = time.monotonic()
        self.files = 0
        # only names that begin with a digit: a kill during a write leaves .<name>.<random>.csv behind
        for path in sorted(folder.glob(f"[0-9]*{self.suffix}")) if folder and folder.is_dir() else []:
            self.rows |= {r.row: r for r in self.read(path) if not r.error}
            self.files = max(self.files, int(path.stem.partition("-")[0]) + 1)

    def read(self, path: Path) -> list[Row]:
        """The rows of one file."""
        table = pd.read_csv(path, float_precision="round_trip", keep_default_na=False, na_values={"score": [""]})
        return [Row(r.row, r.score, r.error) for r in table.itertuples()]

    def save(self, path: Path, rows: list[Row]) -> None:
        """Write rows to one file."""
        pd.DataFrame(rows, columns=Row._fields).to_csv(path, index=False)

    def done(self) -> set[int]:
        """Rows that need not be scored again."""
        return set(self.rows)

    def add(self, rows: list[Row]) -> None:
        """Add finished rows; write those that are not yet on disk every `seconds`."""
        self.rows |= {r.row: r for r in rows}
        self.unwritten += rows
        if time.monotonic() - self.written_at >= self.seconds:
            self.write()

    def write(self) -> None:
        """Write the rows that are not yet on disk to one more file."""
        if self.folder and self.unwritten:
            # the process number is in the name: a job that a killed run left behind may still write files of its own
            with atomic(self.folder / f"{self.files:06d}-{os.getpid()}{self.suffix}") as temporary:
                self.save(temporary, self.unwritten)
            self.files += 1
        self.unwritten, self.written_at = [], time.monotonic()

    def table(self, index: pd.DataFrame) -> pd.DataFrame:
        """The score file: image, score, error, one row per image, in index order."""
        none = Row(-1, None, "not reached")
        rows = [self.rows.get(i, none) for i in range(len(index))]
        scores = pd.Series([math.nan if r.score is None else r.score for r in rows], dtype=float)
        return pd.DataFrame({"image": index["image"], "score": scores, "error": [r.error for r in rows]})

    def clear(self) -> None:
        """Remove the files: the score file has all rows."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
