"""A table ready to print: CSV, Markdown, and the cells that the report shows. As LaTeX: latex.py."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

CHARACTERS = str.maketrans({"|": r"\|", "<": "&lt;", "\n": " "})  # they would end a cell, begin a tag or end a row
MARKS = {"best": "**{}**", "second": "<ins>{}</ins>"}  # how Markdown shows them
UNDEFINED = "–"
NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?)(?: ± \d+(?:\.\d+)?)?")  # given as text, at digits of its own


def number_text(value: float, decimals: int = 3) -> str:
    """A measured value as it is printed everywhere, never as -0.000; a dash where it is undefined."""
    return UNDEFINED if pd.isna(value) else f"{round(value, decimals) + 0.0:.{decimals}f}"


def significant_text(value: float, digits: int) -> str:
    """A measured value with so many significant digits, all those before the point; a dash where it is undefined."""
    value = float(f"{value:.{digits}g}")  # 9.996 has two digits before the point
    before = math.floor(math.log10(abs(value))) + 1 if np.isfinite(value) and value else 0
    return number_text(value, max(0, digits - before))


@dataclass
class Table:
    """`values` to print, `marks` of cells, `notes` and `blocks` below.

    results: what the CSV of a table of correlations holds instead: these numbers and more in tidy form (tidy.py).

    marks: (row position, column) -> "best" or "second". flags: likewise -> symbols that `notes` explain.
    banner: the first note, emphasised. protocol: what holds for all tables of its kind, said once per document.
    headers: column -> the header above it, shared with its neighbours, and its own. row_group: the column whose values
    part the rows. decimals: of floats; or `significant`, their number of significant digits; formats: of the floats of
    a column. short: title of a method or dataset -> its name where room is scarce.
    """

    title: str
    caption: str
    values: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    results: pd.DataFrame | None = None
    marks: dict[tuple[int, str], str] = field(default_factory=dict)
    flags: dict[tuple[int, str], str] = field(default_factory=dict)
    blocks: list[Table] = field(default_factory=list)
    decimals: int = 3
    significant: int | None = None
    formats: dict[str, str] = field(default_factory=dict)
    banner: str | None = None
    protocol: str = ""
    headers: dict[str, tuple[str, str]] = field(default_factory=dict)
    row_group: str | None = None
    short: dict[str, str] = field(default_factory=dict)

    def text(self, row: int, column: str) -> str:
        """The text of a cell: a rounded number, or text and counts as they are."""
        value = self.values[column].iloc[row]
        text = str(value)
        if isinstance(value, float):
            digits, form = self.significant, self.formats.get(column)
            text = significant_text(value, digits) if digits else number_text(value, self.decimals)
            text = f"{value:{form}}" if form and math.isfinite(value) else text
        return f"{text}{self.flags.get((row, column), '')}"

    def strings(self) -> pd.DataFrame:
        """All cells as Markdown prints them."""

        def cell(row: int, column: str) -> str:
            text = self.text(row, column).translate(CHARACTERS)
            mark = self.marks.get((row, column))
            return MARKS[mark].format(text) if mark else text

        rows = range(len(self.values))
        return pd.DataFrame({c.translate(CHARACTERS): [cell(i, c) for i in rows] for c in self.values})

    def csv(self) -> str:
        """Full precision, and of a table of correlations more than is printed."""
        return (self.values if self.results is None else self.results).to_csv(index=False)

    def markdown(self, level: int = 2) -> str:
        parts = [f"{'#' * level} {self.title}".translate(CHARACTERS), self.caption]
        if len(self.values):
            parts.append(self.strings().to_markdown(index=False, disable_numparse=True))
        parts += [f"**{self.banner}**"] if self.banner else []
        parts += [*(n.replace("<", "&lt;") for n in self.notes), *([self.protocol] if self.protocol else [])]
        parts += [*(block.markdown(level + 1).rstrip("\n") for block in self.blocks)]
        return "\n\n".join(parts) + "\n"

    def cells(self) -> dict[str, Any]:
        """The table as JSON holds it and the report shows it: rounded text, sort key and mark of every cell."""

        def cell(row: int, column: str) -> dict[str, Any]:
            value = self.values[column].iloc[row]
            number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
            of_text = NUMBER.fullmatch(value) if isinstance(value, str) else None
            key = float(value) if number else float(of_text[1]) if of_text else ""
            return {"text": self.text(row, column), "key": key, "mark": self.marks.get((row, column), "")}

        return {
            "title": self.title,
            "caption": self.caption,
            "columns": list(self.values),
            "headers": [list(self.headers.get(c, ("", c))) for c in self.values],
            "row_group": self.row_group,
            "protocol": self.protocol,
            "rows": [[cell(i, c) for c in self.values] for i in range(len(self.values))],
            "notes": [*([self.banner] if self.banner else []), *self.notes],
            "blocks": [b.cells() for b in self.blocks],
        }
