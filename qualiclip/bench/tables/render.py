"""Render one table: CSV, Markdown, LaTeX, and the JSON that the report reads.

`python -m qualiclip.bench.tables.render workflow/tables/zero_shot_authentic.yaml --config ... --out results/.../x.md`
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pandas as pd

from qualiclip.bench import job, provenance
from qualiclip.bench.absence import NotHere
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.scale import add_config_argument, config_of
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.tables import kinds
from qualiclip.bench.tables.latex import latex
from qualiclip.bench.tables.table import Table
from qualiclip.bench.workspace import Workspace
from qualiclip.io import write_text


def render(card: TableCard, workspace: Workspace) -> Table:
    """The table of a card, or why it cannot be made; with the banner of the scale, and with short names."""
    try:
        table = importlib.import_module(kinds.module(card)).build(card, workspace)
    except NotHere as e:
        table = Table(card.title, card.caption, pd.DataFrame(), [str(e)])
    table.banner = workspace.config.banner
    short = workspace.short_names()
    for part in (table, *table.blocks):
        part.short = short
    return table


def write(table: Table, out: Path) -> None:
    """<out>.csv with full precision; .md and .tex as printed; .json for the report."""
    write_text(out.with_suffix(".csv"), table.csv())
    write_text(out.with_suffix(".tex"), latex(table, out.stem))
    write_text(out.with_suffix(".json"), json.dumps(table.cells(), indent=1) + "\n")
    write_text(out.with_suffix(".md"), table.markdown())


def main() -> None:
    parser = job.parser("Render one table from metrics files.", "card", "--out")
    add_config_argument(parser)
    args = parser.parse_args()
    card, workspace = read_card(TableCard, args.card), Workspace(config_of(args))
    write(render(card, workspace), args.out)
    provenance.record(args.out, table=card.name, scale=workspace.config.scale)


if __name__ == "__main__":
    job.run(main)
