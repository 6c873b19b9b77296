"""What the page offers to save: the files of tables and figures, BibTeX of what a table shows, other metrics."""

from __future__ import annotations

import base64
import re
from typing import Any

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.tables.results import Result
from qualiclip.bench.tables.table import number_text
from qualiclip.bench.workspace import Workspace

METRICS = {"srcc": "SRCC", "plcc_logistic": "PLCC", "krcc": "KRCC"}
LARGEST = 2**20  # bytes of a PDF inside the page
STATISTICS = {"whole": "whole set", "median": "median of the test parts"}


def files(workspace: Workspace) -> dict[str, str]:
    """Name -> text of the files of all tables and figures."""
    paths = workspace.paths
    tables = [paths.table(t.name).with_suffix(s) for t in workspace.tables() for s in (".csv", ".tex", ".md")]
    figures = [paths.figure(f.name).with_suffix(s) for f in workspace.figures() for s in (".csv", ".tex")]
    return {p.name: p.read_bytes().decode() for p in [*tables, *figures, paths.latex_index]}


def pdfs(workspace: Workspace) -> dict[str, tuple[str, str]]:
    """Figure -> name and base64 of its PDF: as wide as a page's text, or one column wide where that is a large file."""
    chosen = {}
    for f in workspace.figures():
        wide = workspace.paths.figure(f.name).with_suffix(".pdf")
        path = wide if wide.stat().st_size <= LARGEST else workspace.paths.figure_column(f.name)
        chosen[f.name] = (path.name, base64.b64encode(path.read_bytes()).decode())
    return chosen


def _entry(card: MethodCard | DatasetCard) -> str:
    """One BibTeX entry: the citation of the card as it stands, with year and arXiv number where it has them."""
    citation = card.citation.partition("; scores from")[0]
    facts = {"title": f"{{{card.title}}}", "note": citation}
    if year := re.findall(r"\b(?:19|20)\d\d\b(?!\.)", citation):
        facts["year"] = year[-1]
    if number := re.search(r"arXiv (\d{4}\.\d{5})", citation):
        facts |= {"eprint": number[1], "archiveprefix": "arXiv"}
    key = re.sub(r"[^a-z0-9]+", "-", card.name).strip("-")
    fields = ",\n".join(f"  {k} = {{{v}}}" for k, v in facts.items())
    return f"@misc{{{key},\n{fields}\n}}\n"


def bibtex(table: dict[str, Any], workspace: Workspace) -> str:
    """BibTeX of the methods and datasets in a table's cells (table.cells()); each paper once."""
    shown = {row[0]["text"] for row in table["rows"]} | {above for above, _ in table["headers"]}
    cards: list[MethodCard | DatasetCard] = [*workspace.methods(), *workspace.datasets()]
    cited = [
        c for c in cards if c.title in shown and c.citation and not c.citation.startswith(("this suite", "made in"))
    ]
    return "\n".join({c.citation.partition("; scores from")[0]: _entry(c) for c in reversed(cited)}.values())


def values(results: list[Result]) -> dict[str, dict[str, dict[str, Any]]]:
    """For the leaderboard. Title of a method -> name of a dataset -> metric and statistic -> text, number, limits."""
    board: dict[str, dict[str, dict[str, Any]]] = {}
    for r in results:
        cells = {}
        for metric in METRICS:
            for statistic in STATISTICS:
                value = r.value(metric, statistic)
                if value == value:  # not NaN
                    ends = [number_text(v, 2) for v in r.limits(metric)] if statistic == "whole" else []
                    limits = f"{ends[0]} to {ends[1]}" if ends and "–" not in ends else ""
                    cell = {"text": number_text(value) + ("†" if r.leaked else ""), "key": value, "limits": limits}
                    cells[f"{metric} {statistic}"] = cell
        board.setdefault(r.method.title, {})[r.dataset.name] = cells
    return board
