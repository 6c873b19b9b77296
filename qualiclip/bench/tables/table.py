"""A table ready to print: CSV, Markdown, LaTeX, and the cells that the report shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "^": r"\^{}"}
LATEX |= {"~": r"\~{}", "{": r"\{", "}": r"\}", "†": r"$^\dagger$", "‡": r"$^\ddagger$", "–": "--", "±": r"$\pm$"}
MARKS = {  # mark -> how each format shows it
    "best": {"markdown": "**{}**", "latex": r"\textbf{{{}}}"},
    "second": {"markdown": "<ins>{}</ins>", "latex": r"\underline{{{}}}"},
}
UNDEFINED = "–"


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(c, c) for c in text)


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
    """`values` to print, `extra` columns for the CSV alone, `marks` of cells, `notes` and `blocks` below.

    marks: (row position, column) -> "best" or "second". flags: likewise -> symbols that `notes` explain.
    banner: the first note, emphasised. decimals: of floats; or `significant`, their number of significant digits.
    """

    title: str
    caption: str
    values: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    extra: pd.DataFrame = field(default_factory=pd.DataFrame)
    marks: dict[tuple[int, str], str] = field(default_factory=dict)
    flags: dict[tuple[int, str], str] = field(default_factory=dict)
    blocks: list[Table] = field(default_factory=list)
    decimals: int = 3
    significant: int | None = None
    banner: str | None = None

    def text(self, row: int, column: str) -> str:
        """The text of a cell: a rounded number, or text and counts as they are."""
        value = self.values[column].iloc[row]
        text = str(value)
        if isinstance(value, float):
            digits = self.significant
            text = significant_text(value, digits) if digits else number_text(value, self.decimals)
        return f"{text}{self.flags.get((row, column), '')}"

    def strings(self, form: str) -> pd.DataFrame:
        """All cells as `form` ("markdown" or "latex") prints them."""

        def cell(row: int, column: str) -> str:
            text = self.text(row, column)
            text = latex(text) if form == "latex" else text.replace("|", r"\|")
            mark = self.marks.get((row, column))
            return MARKS[mark][form].format(text) if mark else text

        return pd.DataFrame({c: [cell(i, c) for i in range(len(self.values))] for c in self.values})

    def csv(self) -> str:
        """Full precision, with intervals, deviations and whole-set values in additional columns."""
        return pd.concat([self.values, self.extra], axis=1).to_csv(index=False)

    def markdown(self, level: int = 2) -> str:
        parts = [f"{'#' * level} {self.title}", self.caption]
        if len(self.values):
            parts.append(self.strings("markdown").to_markdown(index=False, disable_numparse=True))
        parts += [f"**{self.banner}**"] if self.banner else []
        parts += [*self.notes, *(block.markdown(level + 1).rstrip("\n") for block in self.blocks)]
        return "\n\n".join(parts) + "\n"

    def latex(self) -> str:
        """booktabs, `tabular` in a `table`; needs \\usepackage{booktabs}."""
        cells = self.strings("latex")
        notes = [rf"\par\footnotesize {latex(n)}" for n in [*([self.banner] if self.banner else []), *self.notes]]
        body = []
        if len(cells):
            body = [
                rf"\begin{{tabular}}{{l{'r' * (cells.shape[1] - 1)}}}",
                r"\toprule",
                " & ".join(latex(c) for c in cells) + r" \\",
                r"\midrule",
                *(" & ".join(row) + r" \\" for row in cells.itertuples(index=False)),
                r"\bottomrule",
                r"\end{tabular}",
            ]
        caption = rf"\caption{{{latex(self.title)}. {latex(self.caption)}}}"
        lines = [r"\begin{table}", r"\centering", caption, *body, *notes, r"\end{table}"]
        return "\n".join([*lines, *(b.latex() for b in self.blocks)]) + "\n"

    def cells(self) -> dict[str, Any]:
        """The table as JSON holds it and the report shows it: rounded text, sort key and mark of every cell."""

        def cell(row: int, column: str) -> dict[str, Any]:
            value = self.values[column].iloc[row]
            number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
            key = float(value) if number else ""
            return {"text": self.text(row, column), "key": key, "mark": self.marks.get((row, column), "")}

        return {
            "title": self.title,
            "caption": self.caption,
            "columns": list(self.values),
            "rows": [[cell(i, c) for c in self.values] for i in range(len(self.values))],
            "notes": [*([self.banner] if self.banner else []), *self.notes],
            "blocks": [b.cells() for b in self.blocks],
        }
