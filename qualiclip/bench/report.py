"""The report: one self-contained HTML page with every table and figure.

`python -m qualiclip.bench.report --config ... --out results/mini/report.html`
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qualiclip.bench import agreement, gallery, provenance
from qualiclip.bench.card import CardError
from qualiclip.bench.files import command, read_json, write_text
from qualiclip.bench.table import Table
from qualiclip.bench.tables import render as render_table
from qualiclip.bench.workspace import Workspace

_SHOWN = ("seconds", "images_per_second", "failed", "device", "revision")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _html(table: Table) -> dict[str, Any]:
    """A table as the template prints it: columns, rows of cells (text, sort key, mark), notes, blocks."""
    rows = [
        [
            {
                "text": table.text(i, c),
                "key": float(table.values[c].iloc[i]) if _number(table.values[c].iloc[i]) else "",
                "mark": table.marks.get((i, c), ""),
            }
            for c in table.values
        ]
        for i in range(len(table.values))
    ]
    return {
        "title": table.title,
        "caption": table.caption,
        "columns": list(table.values),
        "rows": rows,
        "notes": [n.strip("*") for n in table.notes],
        "blocks": [_html(b) for b in table.blocks],
    }


def _training(space: Workspace) -> list[dict[str, Any]]:
    """What each trained variant says of itself."""
    out = []
    for name in space.trained():
        path = space.checkpoint(name) / "train.json"
        if not path.is_file():  # wanted by no table or figure of this run
            continue
        facts = provenance.read(space.checkpoint(name) / "weights.safetensors")
        out.append({"name": name, "record": read_json(path), "facts": facts})
    return out


def _scores(space: Workspace) -> list[dict[str, Any]]:
    rows = []
    for m, d in space.scored():
        facts = provenance.read(space.scores(m, d)) if provenance.sidecar(space.scores(m, d)).is_file() else {}
        rows.append({"Method": m.title, "Dataset": d.title} | {k: facts.get(k) for k in _SHOWN})
    return rows


def render(space: Workspace) -> str:
    """The whole page."""
    page = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
    page.filters["finite"] = lambda v: v is not None and math.isfinite(v)
    tables = {c.name: _html(render_table(c, space)) for c in space.all_tables.values()}
    found = agreement.results(space, space.scored())
    whole = [r for r in found if not r.method.features]  # with one model of a whole set
    sets, board = gallery.leaderboard(whole)
    ranking = gallery.gmad_ranking(space, whole)
    seconds: dict[str, float] = {}
    scores = _scores(space)
    for row in scores:
        seconds[row["Method"]] = seconds.get(row["Method"], 0.0) + (row["seconds"] or 0.0)
    return page.get_template("report.html.jinja").render(
        scale=space.config.scale,
        banner=space.config.banner,
        sets=sets,
        board=board,
        tables=tables,
        figures=[(c, gallery.inline(space.figure(c))) for c in space.figures()],
        left_out=space.figures_left_out(),
        competitions=gallery.competitions(space),
        ranking=_html(ranking) if ranking else None,
        scatter=gallery.scatter(space, [r for r in whole if r.method.family != "ablation"]),
        methods=space.methods(),
        seconds=seconds,
        training=_training(space),
        scores=scores,
        shown=_SHOWN,
        revision=provenance.revision(),
        packages=provenance.packages(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the report of a finished run.")
    Workspace.add_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="results/<scale>/report.html")
    args = parser.parse_args()
    try:
        write_text(args.out, render(Workspace.from_arguments(args)))
    except CardError as e:
        sys.exit(f"error: {e}")


if __name__ == "__main__":
    command(main)
