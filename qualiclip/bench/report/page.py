"""The report: one self-contained HTML page with every table and figure, and a LaTeX file that includes all tables.

`python -m qualiclip.bench.report.page --config ... --out results/mini/report.html`
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qualiclip.bench import job, provenance
from qualiclip.bench.absence import reason_of
from qualiclip.bench.cards.scale import add_config_argument, config_of
from qualiclip.bench.report import sections
from qualiclip.bench.tables import latex
from qualiclip.bench.tables.results import read_results
from qualiclip.bench.tables.tidy import read_tidy
from qualiclip.bench.workspace import Workspace
from qualiclip.io import read_json, write_text

FACTS = ("seconds", "images_per_second", "failed", "device", "revision")  # of a score file, in its sidecar


def _training(workspace: Workspace) -> list[dict[str, Any]]:
    """Record and provenance of every trained variant that a table or figure of this run needed."""
    variants = []
    for name in workspace.variants():
        record = workspace.paths.train_record(name)
        if record.is_file() and not reason_of(record):
            facts = provenance.read(workspace.paths.weights(name))
            variants.append({"name": name, "record": read_json(record), "facts": facts})
    return variants


def _score_files(workspace: Workspace) -> list[dict[str, Any]]:
    """One row per score file: method, dataset and the facts of its sidecar."""
    rows = []
    for m, d in workspace.scored():
        facts = provenance.read(workspace.paths.scores(m.name, d.name))
        rows.append({"Method": m.title, "Dataset": d.title} | {k: facts.get(k) for k in FACTS})
    return rows


def render(workspace: Workspace) -> str:
    """The whole page."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters["finite"] = lambda v: v is not None and math.isfinite(v)
    paths = workspace.paths
    # the tables as they were printed
    tables = {c.name: read_json(paths.table(c.name).with_suffix(".json")) for c in workspace.tables()}
    # results of methods with one model of a whole set; ablations stand in their own tables
    results = [r for r in read_results(paths, workspace.scored()) if not r.method.features_of]
    compared = [r for r in results if r.method.family != "ablation"]
    datasets, leaderboard = sections.leaderboard(read_tidy(paths.results), compared, results, workspace)
    ranking = sections.gmad_ranking(workspace, compared)
    # what scoring took
    score_files = _score_files(workspace)
    seconds: dict[str, float] = {}
    for row in score_files:
        seconds[row["Method"]] = seconds.get(row["Method"], 0.0) + (row["seconds"] or 0.0)
    return environment.get_template("report.html.jinja").render(
        scale=workspace.config.scale,
        banner=workspace.config.banner,
        datasets=datasets,
        leaderboard=leaderboard,
        tables=tables,
        figures=[(c, sections.inline(paths.figure(c.name))) for c in workspace.figures()],
        left_out=workspace.figures_left_out(),
        competitions=sections.competitions(workspace),
        ranking=ranking.cells() if ranking else None,
        scatter=sections.scatter(workspace, compared),
        methods=workspace.methods(),
        seconds=seconds,
        training=_training(workspace),
        score_files=score_files,
        facts=FACTS,
        revision=provenance.revision(),
        packages=provenance.packages(),
    )


def main() -> None:
    parser = job.parser("Build the report of a finished run.", "--out")
    add_config_argument(parser)
    args = parser.parse_args()
    workspace = Workspace(config_of(args))
    tables = {c.name: read_json(workspace.paths.table(c.name).with_suffix(".json")) for c in workspace.tables()}
    write_text(workspace.paths.latex_index, latex.index({name: t["protocol"] for name, t in tables.items()}))
    write_text(args.out, render(workspace))


if __name__ == "__main__":
    job.run(main)
