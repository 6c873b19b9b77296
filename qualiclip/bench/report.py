"""The report: one self-contained HTML page with every table and figure.

`python -m qualiclip.bench.report --config ... --out results/mini/report.html`
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qualiclip.bench import provenance
from qualiclip.bench.cards import CardError
from qualiclip.bench.files import write_text
from qualiclip.bench.tables import KINDS, Table
from qualiclip.bench.workspace import Workspace


def _inline(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _html_table(table: Table) -> list[list[dict[str, Any]]]:
    """Rows of cells: text, sort key, whether best."""
    strings = table.strings()
    return [
        [
            {
                "text": str(strings[c].iloc[i]).strip("*"),
                "key": table.values[c].iloc[i] if isinstance(table.values[c].iloc[i], int | float) else "",
                "best": str(strings[c].iloc[i]).startswith("**"),
            }
            for c in strings
        ]
        for i in range(len(strings))
    ]


def _training(space: Workspace) -> list[dict[str, Any]]:
    """What each trained variant says of itself."""
    out = []
    for name in space.trained():
        record = json.loads((space.checkpoint(name) / "train.json").read_text(encoding="utf-8"))
        facts = provenance.read(space.checkpoint(name) / "weights.safetensors")
        out.append({"name": name, "record": record, "facts": facts})
    return out


def _scores(space: Workspace) -> pd.DataFrame:
    rows = []
    for m, d in space.scored():
        facts = provenance.read(space.scores(m, d))
        rows.append({"Method": m.title, "Dataset": d.title} | {k: facts.get(k) for k in _SHOWN})
    return pd.DataFrame(rows)


_SHOWN = ("seconds", "images_per_second", "failed", "device", "revision")


def render(space: Workspace) -> str:
    folder = Path(__file__).parent
    page = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    tables = [(c, KINDS[c.kind](c, space)) for c in space.all_tables.values()]
    return page.get_template("report.html.jinja").render(
        scale=space.config.scale,
        banner=space.config.banner,
        tables=[(c.name, t, list(t.values.columns), _html_table(t)) for c, t in tables],
        figures=[(c, _inline(space.figure(c))) for c in space.all_figures.values()],
        methods=space.methods(),
        training=_training(space),
        scores=_scores(space).to_dict("records"),
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
    main()
