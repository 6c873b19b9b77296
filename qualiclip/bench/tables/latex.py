"""A table as LaTeX: `table*` floats in \\small that fit every page. Needs the packages booktabs and array.

Headers stand above the metrics of a dataset, families of methods above their rows, short names in place of long ones.
What is too wide for a page is set as several tabulars, and what is too long as several floats. Widths are estimated in
Computer Modern, which is wider than Times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from math import ceil
from numbers import Real
from pathlib import Path

import matplotlib
from PIL import ImageFont

from qualiclip.bench.absence import NOT_HERE
from qualiclip.bench.tables.table import NUMBER, UNDEFINED, Table

WIDTH, LINES = 345.0, 44.0  # pt and lines of \small on the smallest usual page, that of article in one column
SEPARATION = 4.0  # pt on either side of a column
NAMES, PROSE = 120.0, 90.0  # pt: names of rows, and other text, that are wider may be broken into lines
SYMBOLS = 2  # characters of an addition to a number that takes no room
HEAD = 3.5  # lines that the headers and rules of a tabular take
TEXT = {  # characters that LaTeX prints otherwise
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",
    '"': "''",
    "–": "--",
    **{c: rf"\{c}" for c in "&%_#${}"},
    **{c: f"${c}$" for c in "<>|"},
    **{"†": r"$^\dagger$", "‡": r"$^\ddagger$", "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "≥": r"$\geq$"},
    **{"≤": r"$\leq$", "σ": r"$\sigma$", "→": r"$\rightarrow$", "’": "'", "“": "``", "”": "''", "·": r"$\cdot$"},
}
MARKS = {"best": r"\textbf{%s}", "second": r"\underline{%s}"}
ABSENT = {"", UNDEFINED, "not run", NOT_HERE}  # what stands in place of a number
MINUS = re.compile(r"(?<![\w.)])-(?=\d)")
BREAKS = re.compile(r"(?<=[/_:])(?=\w)|(?<=\.)(?=[A-Za-z])")  # where a long word may be broken


def escaped(text: str) -> str:
    """Text with LaTeX's special characters escaped, and a true minus before a number."""
    return "".join(TEXT.get(c, c) for c in MINUS.sub("−", text))


def breakable(text: str) -> str:
    """Escaped text whose paths and addresses may be broken into lines."""
    return r"\allowbreak{}".join(escaped(piece) for piece in BREAKS.split(text))


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/cmr10.ttf", 100)


@cache
def width(text: str) -> float:
    """Estimated width of a text in \\small, in pt."""
    return _font().getlength(text) * 0.09 * 1.04


def _halves(header: str) -> list[str]:
    """A header in two lines of about one length, or in one where it is a single word."""
    words = header.split(" ")
    splits = [[" ".join(words[:k]), " ".join(words[k:])] for k in range(1, len(words))]
    return min(splits, key=lambda lines: max(map(width, lines)), default=[header])


@dataclass
class Column:
    """A column as it is set: `title` is its key in the table, `above` and `header` its header in two rows."""

    title: str
    above: str
    header: list[str]
    texts: list[str]
    number: bool
    needed: float  # pt
    wanted: float  # pt; more than needed where text can be broken into lines
    given: float = 0.0

    @property
    def prose(self) -> bool:
        return self.wanted > self.needed

    @property
    def specification(self) -> str:
        """Its part of the argument of tabular."""
        if self.prose:
            return rf">{{\raggedright\arraybackslash}}p{{{self.given:.0f}pt}}"
        return "r" if self.number else "l"

    @property
    def heading(self) -> str:
        lines = r" \\ ".join(map(escaped, self.header))
        return lines if len(self.header) == 1 else rf"\shortstack[{'r' if self.number else 'l'}]{{{lines}}}"

    def lines(self, row: int) -> int:
        """Lines that a cell takes."""
        return ceil(1.15 * width(self.texts[row]) / self.given) if self.prose else 1


def _column(table: Table, title: str, most: float) -> Column:
    """The texts of a column, what they are, and how wide; text wider than `most` pt may be broken into lines."""
    values = table.values[title]
    shortened = [table.short.get(table.text(i, title), table.text(i, title)) for i in range(len(values))]
    numbers = [isinstance(v, Real) and not isinstance(v, bool) for v in values]
    number = any(numbers) or any(map(NUMBER.fullmatch, shortened))
    number &= all(n or v in ABSENT or NUMBER.fullmatch(v) for n, v in zip(numbers, values, strict=True))
    above, header = table.headers.get(title, ("", title))
    cells = max((width(t) * (1.15 if (i, title) in table.marks else 1) for i, t in enumerate(shortened)), default=0)
    lines = [header] if width(header) <= max(cells, 30) else _halves(header)
    wanted = needed = max(cells, *map(width, lines))
    if not number and wanted > most:
        words = [word for text in shortened for word in re.split(r"[\s/_.:-]", text)]
        needed = max(0.6 * most, *map(width, lines), *(1.1 * width(w) for w in words))
    return Column(title, table.short.get(above, above), lines, shortened, number, needed, max(needed, wanted))


def _panels(columns: list[Column], limit: float) -> list[list[Column]]:
    """Columns that stand side by side in `limit` pt; the first stands in every panel.

    Columns below one header stay together.
    """
    first, rest = columns[0], columns[1:]
    panels, taken = [[first]], first.needed
    for above, group in groupby(rest, lambda c: c.above):
        for block in [list(group)] if above else [[c] for c in group]:
            # a header above that is wider than its columns widens the last one
            own = sum(c.needed for c in block) + 2 * SEPARATION * (len(block) - 1)
            block[-1].needed += max(0.0, width(above) - own)
            block[-1].wanted = max(block[-1].wanted, block[-1].needed)
            room = max(own, width(above)) + 2 * SEPARATION
            if taken + room > limit and len(panels[-1]) > 1:
                panels.append([first])
                taken = first.needed
            panels[-1] += block
            taken += room
    return panels


def _balanced(columns: list[Column]) -> list[list[Column]]:
    """As few panels as the page allows, of about one width."""
    n = len(_panels(columns, WIDTH))
    limits = range(100, int(WIDTH) + 1, 5)
    return next(panels for limit in limits if len(panels := _panels(columns, limit)) <= n)


def _share(panel: list[Column]) -> None:
    """Give the room that is left to the columns of prose, in proportion to what they lack."""
    left = WIDTH - sum(c.needed for c in panel) - 2 * SEPARATION * (len(panel) - 1)
    lacking = sum(c.wanted - c.needed for c in panel)
    for c in panel:
        c.given = c.needed + (c.wanted - c.needed) * min(1.0, max(left, 0) / lacking if lacking else 0.0)


def _head(panel: list[Column]) -> list[str]:
    """The rows of headers, with rules below a header that stands above several columns."""
    lines = []
    if any(c.above for c in panel):
        cells, rules, k = [], [], 1
        for above, group in groupby(panel, lambda c: c.above):
            n = len(list(group))
            cells += [rf"\multicolumn{{{n}}}{{c}}{{{escaped(above)}}}"] if above else [""] * n
            rules += [rf"\cmidrule(lr){{{k}-{k + n - 1}}}"] if above else []
            k += n
        lines += [" & ".join(cells) + r" \\", "".join(rules)]
    return [*lines, " & ".join(c.heading for c in panel) + r" \\", r"\midrule"]


def _cell(table: Table, c: Column, row: int) -> str:
    """A cell; symbols stand beside a number without moving it, a longer addition has room of its own."""
    if c.number:
        flag = table.flags.get((row, c.title), "")
        text = escaped(c.texts[row].removesuffix(flag))
        beside = rf"\rlap{{{escaped(flag)}}}" if 0 < len(flag) <= SYMBOLS else escaped(flag)
        return MARKS.get(table.marks.get((row, c.title)), "%s") % text + beside
    return MARKS.get(table.marks.get((row, c.title)), "%s") % (breakable if c.prose else escaped)(c.texts[row])


def _tabular(table: Table, panel: list[Column], rows: list[int]) -> str:
    """Some rows of some columns; each family of rows has a line above it."""
    lines = [
        rf"\begin{{tabular}}{{@{{}}{''.join(c.specification for c in panel)}@{{}}}}",
        r"\toprule",
        *_head(panel),
    ]
    group = None
    for i in rows:
        if table.row_group and table.values[table.row_group].iloc[i] != group:
            lines += [r"\midrule"] if group is not None else []
            group = table.values[table.row_group].iloc[i]
            title = escaped(f"{group[:1].upper()}{group[1:]}")
            lines.append(rf"\multicolumn{{{len(panel)}}}{{@{{}}l}}{{\emph{{{title}}}}} \\")
        lines.append(" & ".join(_cell(table, c, i) for c in panel) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _pieces(table: Table) -> Iterator[tuple[float, str]]:
    """What the floats of a table consist of, in order: lines that a piece takes, and the piece."""
    if len(table.values):
        first, *others = (title for title in table.values if title != table.row_group)
        columns = [_column(table, first, NAMES), *(_column(table, title, PROSE) for title in others)]
        groups = list(table.values[table.row_group]) if table.row_group else [None] * len(table.values)
        for panel in _balanced(columns):
            _share(panel)
            rows: list[int] = []
            taken = HEAD
            for i, group in enumerate(groups):
                lines = max(c.lines(i) for c in panel)
                if rows and taken + lines > LINES - 2:
                    yield taken, _tabular(table, panel, rows)
                    rows, taken = [], HEAD
                taken += lines + (1.5 if group is not None and (not rows or groups[i - 1] != group) else 0)
                rows.append(i)
            yield taken, _tabular(table, panel, rows)
    notes = [n for n in (table.caption, table.banner, *table.notes) if n]
    for note in notes:
        yield ceil(0.95 * width(note) / WIDTH) * 0.9, breakable(note)


def latex(table: Table, label: str) -> str:
    """The floats of a table and of its blocks, labelled tab:<label>."""
    # pieces that fit one page together
    pages: list[list[str]] = [[]]
    room = LINES - 2
    for lines, piece in _pieces(table):
        if lines > room and pages[-1]:
            pages.append([])
            room = LINES - 2
        pages[-1].append(piece)
        room -= lines
    # a float for each page, with the number of the first
    floats = [f"% {table.protocol}"] if table.protocol else []
    for k, page in enumerate(pages):
        tabulars = [p for p in page if p.startswith(r"\begin{tabular}")]
        notes = " ".join(p for p in page if not p.startswith(r"\begin{tabular}"))
        caption = escaped(table.title) + (" (continued)" if k else "")
        floats += [
            r"\begin{table*}[tp]",
            r"\centering\small",
            rf"\setlength{{\tabcolsep}}{{{SEPARATION:g}pt}}",
            *([r"\addtocounter{table}{-1}"] if k else []),
            rf"\caption{{{caption}.}}" + ("" if k else rf"\label{{tab:{label}}}"),
            "\n\n\\medskip\n".join(tabulars),
            *(
                [rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize\raggedright {notes}\end{{minipage}}"]
                * bool(notes)
            ),
            r"\end{table*}",
        ]
    blocks = [latex(b, f"{label}:{k}") for k, b in enumerate(table.blocks, start=1)]
    return "\n".join([*floats, *blocks]).rstrip("\n") + "\n"


def index(tables: dict[str, str]) -> str:
    """A file that includes all tables, and says once what holds for all of a kind. tables: id -> its protocol."""
    lines = [
        "% Needs the packages booktabs and array. Before \\input of this file: \\newcommand{\\tables}{its folder}",
        r"\providecommand{\tables}{.}",
        *(rf"\paragraph{{Protocol.}} {escaped(text)}" for text in dict.fromkeys(filter(None, tables.values()))),
        *(rf"\input{{\tables/{name}}}\clearpage" for name in tables),
    ]
    return "\n".join(lines) + "\n"
