"""A table in LaTeX: headers, families, short names, numbers, and sizes that fit a page."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.tables import latex
from qualiclip.bench.tables.table import Table

PANEL = re.compile(r"\\begin\{tabular\}\{@\{\}([^\n]*)@\{\}\}\n(.*?)\\end\{tabular\}", re.DOTALL)


def table(n_rows: int = 2, n_sets: int = 2) -> Table:
    """Methods of two families on some sets, two metrics each."""
    rng = np.random.default_rng(0)
    names = [f"method {i}" for i in range(n_rows)]
    out = Table("t_1", "50% of it", pd.DataFrame({"Method": names}), ["n: 3"], row_group="Family")
    out.values["Family"] = ["supervised" if 2 * i >= n_rows else "opinion-unaware" for i in range(n_rows)]
    for k in range(n_sets):
        for metric in ("SRCC", "PLCC"):
            out.values[f"set {k} {metric}"] = rng.uniform(-1, 1, n_rows)
            out.headers[f"set {k} {metric}"] = (f"set {k}", metric)
    return out


def panels(text: str) -> list[list[str]]:
    """The lines of every tabular."""
    return [body.splitlines() for _, body in PANEL.findall(text)]


def test_datasets_stand_above_metrics_and_families_above_rows():
    text = latex.latex(table(), "x")
    (lines,) = panels(text)
    assert lines[1:3] == [
        r" & \multicolumn{2}{c}{set 0} & \multicolumn{2}{c}{set 1} \\",
        r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}",
    ]
    assert lines[3] == r"Method & SRCC & PLCC & SRCC & PLCC \\"
    families = [line for line in lines if r"\emph" in line]
    assert families == [rf"\multicolumn{{5}}{{@{{}}l}}{{\emph{{{f}}}}} \\" for f in ("Opinion-unaware", "Supervised")]
    assert r"\caption{t\_1.}\label{tab:x}" in text and r"50\% of it n: 3" in text
    assert PANEL.search(text)[1] == "lrrrr", "text to the left, numbers to the right"


def test_cells_have_marks_flags_true_minus_signs_and_short_names():
    values = pd.DataFrame({"Method": ["a long name", "b_c"], "x": [-0.25, 0.5], "y": [1.0, "not run"]})
    t = Table("t", "", values, marks={(0, "x"): "best", (1, "x"): "second"}, flags={(1, "x"): "†"})
    t.short = {"a long name": "short"}
    (lines,) = panels(latex.latex(t, "x"))
    assert lines[-3:-1] == [
        r"short & \textbf{$-$0.250} & 1.000 \\",
        r"b\_c & \underline{0.500}\rlap{$^\dagger$} & not run \\",
    ]


def test_special_characters_are_escaped():
    assert latex.escaped(r"a_b & 5% ~ \x [y] <z>") == (r"a\_b \& 5\% \textasciitilde{} \textbackslash{}x {[}y] $<$z$>$")
    assert latex.escaped("-0.2, 1-5, semi-final, (-3)") == "$-$0.2, 1-5, semi-final, ($-$3)"


def estimated_width(specification: str, body: str) -> float:
    """Width of a tabular by its own columns of prose, and the estimate of the others."""
    rows = [line.removesuffix(r" \\").split(" & ") for line in body.splitlines() if "&" in line]
    rows = [row for row in rows if not any("multicolumn" in cell for cell in row)]
    columns = re.findall(r">\{.*?\}p\{(\d+)pt\}|[lr]", specification)
    natural = [max(latex.width(re.sub(r"\\\w+|[{}$\\]", "", row[i])) for row in rows) for i in range(len(columns))]
    return sum(float(p) if p else w for p, w in zip(columns, natural, strict=True)) + 2 * 4 * (len(columns) - 1)


@pytest.mark.parametrize("n_rows, n_sets", [(3, 1), (12, 4), (84, 13)])
def test_every_tabular_fits_the_page(n_rows, n_sets):
    text = latex.latex(table(n_rows, n_sets), "x")
    found = PANEL.findall(text)
    assert all(estimated_width(*panel) <= latex.WIDTH for panel in found)
    floats = text.split(r"\end{table*}")[:-1]
    assert all(f.count(r" \\") <= latex.LINES for f in floats), "and no float is longer than a page"
    # no cell is lost: every value once, the names of the methods in every panel
    printed = [cell for line in text.splitlines() for cell in re.findall(r"\d\.\d{3}", line)]
    assert len(printed) == 2 * n_rows * n_sets
    assert text.count(r"\label{tab:x}") == 1 and text.count("(continued)") == len(floats) - 1


def test_prose_is_broken_into_lines_and_words_fit_their_column():
    values = pd.DataFrame({"Name": ["a"], "Source": ["see example.org/a/very_long/path " * 6], "n": [3]})
    text = latex.latex(Table("t", "", values), "x")
    assert re.search(r"l>\{\\raggedright\\arraybackslash\}p\{\d+pt\}r", text)
    assert r"example.\allowbreak{}org/\allowbreak{}a/" in text
    assert estimated_width(*PANEL.search(text).groups()) <= latex.WIDTH


def test_the_index_includes_all_tables_and_says_a_protocol_once():
    text = latex.index({"a": "signed 100%", "b": "signed 100%", "c": ""})
    assert text.count(r"signed 100\%") == 1
    assert re.findall(r"\\input\{\\tables/(\w+)\}", text) == ["a", "b", "c"]
