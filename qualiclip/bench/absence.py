"""Outputs that could not be made: in place of each stands a CSV file of one column, `reason`, and one row.

A dataset whose release is not here, a model that was trained on it, a measurement on its photos: whatever kind of file
an output is, its readers meet the reason, and a run completes without it. A method that could not be run has files
with a reason of their own (see formats.py).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from qualiclip.io import write_text

HEADER = "reason\n"
NOT_HERE, NOT_RUN = "not here", "not run"  # what stands in the cells of a table


class NotRun(RuntimeError):
    """A method that cannot be run here, for example because its weights are missing. The message states the reason."""


class NotHere(NotRun):
    """A file that could not be made, because a dataset behind it is not here. The message states the reason."""


def leave_reason(out: Path, reason: str) -> None:
    """Write why `out` could not be made in place of it."""
    text = io.StringIO(HEADER, newline="")
    text.seek(0, io.SEEK_END)
    csv.writer(text, lineterminator="\n").writerow([" ".join(reason.split())])
    write_text(out, text.getvalue())


def reason_of(path: Path) -> str:
    """Why a file could not be made; empty if it was, or does not exist."""
    if not path.is_file():
        return ""
    with path.open("rb") as f:
        if f.read(len(HEADER)) != HEADER.encode():
            return ""
        return next(csv.reader(io.StringIO(f.read().decode("utf-8"))))[0]


def require(*files: Path) -> None:
    """Raises NotHere where one of the files could not be made."""
    for file in files:
        if reason := reason_of(file):
            raise NotHere(reason)
