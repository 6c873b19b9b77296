"""The one reader of text tables that were not written by this suite: labels, and scores from elsewhere.

A row that does not fit the header is refused, not cut. Rows keep the number of their line, for messages.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from typing import Any

import numpy as np
import pandas as pd

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class TableError(ValueError):
    """A table that cannot be read. The message names the file, the line, what is there and the remedy."""


def decode(content: bytes, source: str, encoding: str = "utf-8") -> str:
    """The text of a file; a byte order mark decides over `encoding`. Raises TableError."""
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), encoding)
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError) as e:
        raise TableError(
            f"{source}: its text is not {encoding} ({e}); save it as UTF-8, or name its encoding, such as cp1252"
        ) from e


def _rows(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Number of the line, and the fields, of each row that is not empty."""
    if len(separator) > 1:  # a regular expression
        lines = enumerate(text.splitlines(), start=1)
        return [(i, re.split(separator, line.strip())) for i, line in lines if line.strip()]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]


def read(
    content: bytes,
    source: str,
    separator: str = ",",
    encoding: str = "utf-8",
    columns: list[str] | None = None,
) -> pd.DataFrame:
    """A table whose values are all text, NaN where empty; the row labels are the numbers of the lines.

    source: the name of the file, for messages. separator: a regular expression if longer than one character.
    columns: names of the columns of a file without a header. Empty fields after the last column are left out.
    Raises TableError for a file without rows, and for a row that has more or fewer fields than the header.
    """
    try:
        rows = _rows(decode(content, source, encoding), separator)
    except csv.Error as e:
        raise TableError(f"{source}: not a table ({e})") from e
    if not rows:
        raise TableError(f"{source}: the file is empty")
    header = columns or [name.strip() for name in _trimmed(rows[0][1], 0)]
    body = [(i, _trimmed(row, len(header))) for i, row in (rows if columns else rows[1:])]
    if not body:
        raise TableError(f"{source}: it has a header and no rows")
    for i, row in body:
        if len(row) != len(header):
            there = separator.join(row)[:100]
            raise TableError(
                f"{source}: line {i} has {len(row)} fields, the header has {len(header)}: {there!r}; "
                "put a value that holds the separator between quotation marks"
                + (", or say another separator and a decimal comma" if separator == "," else "")
            )
    twice = {name for name in header if name and header.count(name) > 1}
    if twice:
        raise TableError(f"{source}: two columns are named {', '.join(sorted(twice))}")
    table = pd.DataFrame([row for _, row in body], [i for i, _ in body], header, dtype=str)
    return table.replace("", np.nan)


def _trimmed(row: list[str], n: int) -> list[str]:
    """The fields without empty ones after the first n."""
    while len(row) > n and not row[-1].strip():
        row = row[:-1]
    return row


def hint(table: pd.DataFrame) -> str:
    """What to do about a table that was read as a single column because of its separator; empty otherwise."""
    name = str(table.columns[0])
    other = next((s for s in (";", "\t", "|") if s in name), "") if len(table.columns) == 1 else ""
    return f"; its columns seem to be separated by {other!r}" if other else ""


def numbers(column: pd.Series, decimal: str = ".") -> np.ndarray:
    """The values (n,) as float64; NaN for what is empty or no finite number."""

    def number(value: Any) -> float:
        try:
            return float(value.replace(decimal, ".") if isinstance(value, str) else value)
        except (TypeError, ValueError):
            return math.nan

    values = np.array([number(v) for v in column], float)
    return np.where(np.isfinite(values), values, np.nan)
