"""The report: one self-contained HTML page with every table and figure, and a LaTeX file that includes all tables.

`python -m qualiclip.bench.report.page --config ... --out results/mini/report.html`
"""

from __future__ import annotations

import math
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qualiclip.bench import job
from qualiclip.bench.cards.scale import add_config_argument, config_of
from qualiclip.bench.report import downloads, minute, run_card, sections
from qualiclip.bench.tables import latex
from qualiclip.bench.tables.results import read_results
from qualiclip.bench.tables.standing import standing
from qualiclip.bench.tables.tidy import read_tidy
from qualiclip.bench.workspace import Workspace
from qualiclip.io import read_json, write_text


def printed_tables(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Cells of all tables by name, as they were printed."""
    return {c.name: read_json(workspace.paths.table(c.name).with_suffix(".json")) for c in workspace.tables()}


def render(workspace: Workspace, tables: dict[str, dict[str, Any]]) -> str:
    """The whole page. tables: by name, of `printed_tables`."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters["finite"] = lambda v: v is not None and math.isfinite(v)
    environment.filters["groups"] = lambda headers: [(a, len(list(g))) for a, g in groupby(headers, itemgetter(0))]
    paths = workspace.paths
    # results of methods with one model of a whole set; ablations stand in their own tables
    results = [r for r in read_results(paths, workspace.scored()) if not r.method.features_of]
    compared = [r for r in results if r.method.family != "ablation"]
    ranked, tidy = standing(compared, workspace), read_tidy(paths.results)
    datasets, leaderboard = sections.leaderboard(tidy, compared, results, ranked)
    ranking = sections.gmad_ranking(workspace, compared)
    # what scoring took
    score_files = run_card.score_files(workspace)
    seconds: dict[str, float] = {}
    for row in score_files:
        seconds[row["Method"]] = seconds.get(row["Method"], 0.0) + (row["seconds"] or 0.0)
    return environment.get_template("report.html.jinja").render(
        scale=workspace.config.scale,
        banner=workspace.config.banner,
        datasets=datasets,
        leaderboard=leaderboard,
        sentences=minute.sentences(ranked, tidy),
        tables=tables,
        figures=[(c, sections.inline(paths.figure(c.name))) for c in workspace.figures()],
        left_out=workspace.figures_left_out(),
        competitions=sections.competitions(workspace),
        ranking=ranking.cells() if ranking else None,
        scatter=sections.scatter(workspace, compared),
        methods=workspace.methods(),
        seconds=seconds,
        training=run_card.training(workspace),
        score_files=score_files,
        run_card=run_card.run_card(workspace),
        files=downloads.files(workspace) | {f"{n}.bib": downloads.bibtex(t, workspace) for n, t in tables.items()},
        pdfs=downloads.pdfs(workspace),
        values=downloads.values(compared),
        metrics=downloads.METRICS,
        statistics=downloads.STATISTICS,
    )


def main() -> None:
    parser = job.parser("Build the report of a finished run.", "--out")
    add_config_argument(parser)
    args = parser.parse_args()
    workspace = Workspace(config_of(args))
    tables = printed_tables(workspace)
    write_text(workspace.paths.latex_index, latex.index({name: t["protocol"] for name, t in tables.items()}))
    write_text(args.out, render(workspace, tables))


if __name__ == "__main__":
    job.run(main)
