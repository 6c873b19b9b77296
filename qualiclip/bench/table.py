"""A table ready to print: CSV, Markdown, LaTeX and cells for HTML."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from qualiclip.bench.cards import DatasetCard

LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "^": r"\^{}"}
LATEX |= {"~": r"\~{}", "{": r"\{", "}": r"\}", "†": r"$^\dagger$", "‡": r"$^\ddagger$", "–": "--", "±": r"$\pm$"}
MARKS = {  # mark -> how each format shows it
    "best": {"markdown": "**{}**", "latex": r"\textbf{{{}}}"},
    "second": {"markdown": "<ins>{}</ins>", "latex": r"\underline{{{}}}"},
}


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(c, c) for c in text)


@dataclass
class Table:
    """`values` to print, `extra` columns for the CSV alone, `marks` of cells, `notes` and `blocks` below.

    marks: (row position, column) -> "best" or "second". flags: likewise -> symbols that `notes` explain.
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

    def text(self, row: int, column: str) -> str:
        """Three decimals for a measured value; text and counts as they are; a dash for undefined."""
        value = self.values[column].iloc[row]
        if isinstance(value, float):
            value = "–" if pd.isna(value) else f"{value:.{self.decimals}f}"
        return f"{value}{self.flags.get((row, column), '')}"

    def strings(self, form: str) -> pd.DataFrame:
        """All cells as `form` ("markdown" or "latex") prints them."""

        def cell(row: int, column: str) -> str:
            text = self.text(row, column)
            text = latex(text) if form == "latex" else text.replace("|", r"\|")
            mark = self.marks.get((row, column))
            return MARKS[mark][form].format(text) if mark else text

        return pd.DataFrame({c: [cell(i, c) for i in range(len(self.values))] for c in self.values})

    def csv(self) -> str:
        """Full precision; intervals, deviations and published values beside."""
        return pd.concat([self.values, self.extra], axis=1).to_csv(index=False)

    def markdown(self, level: int = 2) -> str:
        parts = [f"{'#' * level} {self.title}", self.caption]
        if len(self.values):
            parts.append(self.strings("markdown").to_markdown(index=False, disable_numparse=True))
        parts += [*self.notes, *(block.markdown(level + 1).rstrip("\n") for block in self.blocks)]
        return "\n\n".join(parts) + "\n"

    def latex(self) -> str:
        """booktabs, `tabular` in a `table`; needs \\usepackage{booktabs}."""
        cells = self.strings("latex")
        notes = [rf"\par\footnotesize {latex(n.replace('**', ''))}" for n in self.notes]
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


def labels_note(datasets: list[DatasetCard]) -> list[str]:
    """One sentence for each kind of label that is no human opinion."""
    kinds: dict[str, list[str]] = {}
    for d in datasets:
        if d.labels and not d.human:
            kinds.setdefault(d.labels.kind, []).append(d.title)
    return [f"Labels of {', '.join(titles)}: {kind}, no human opinions." for kind, titles in kinds.items()]


def missing(d: DatasetCard, index: pd.DataFrame) -> int:
    """Images that a complete set has and this index has not; 0 where the card does not say how many there are."""
    return d.images.count - len(index) if d.images.count else 0


def missing_note(d: DatasetCard, index: pd.DataFrame) -> list[str]:
    """One sentence for a set that was indexed without all of its images."""
    n = missing(d, index)
    return [f"{d.title}: {len(index)} of {d.images.count} images, {n} are missing."] if n else []
