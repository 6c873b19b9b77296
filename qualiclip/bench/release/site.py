"""A static site: what a run has made in a folder that any web server shows, and a page that lists all such folders.

`python -m qualiclip.bench.release.site --config scale=mini --out results/site/mini-1a2b3c/run.json`
The folder is named by scale and commit, so that a later version stands beside it; remove a folder, and the next run of
this command leaves it out.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qualiclip.bench import job
from qualiclip.bench.cards.release import PROTOCOL
from qualiclip.bench.cards.scale import add_config_argument, config_of
from qualiclip.bench.report.run_card import run_card
from qualiclip.bench.workspace import Workspace
from qualiclip.io import atomic_folder, read_json, write_text

RECORD = "run.json"


def record(workspace: Workspace) -> dict[str, Any]:
    """What the list of runs says of one: facts in words, titles of its tables and figures by name."""
    facts = {"Scale": workspace.config.scale, "Protocol": str(PROTOCOL)} | run_card(workspace)
    facts["Methods"] = str(len({m.name for m, _ in workspace.scored()}))
    facts["Datasets"] = ", ".join(dict.fromkeys(f"{d.title} {d.version}" for _, d in workspace.scored()))
    return {
        "banner": workspace.config.banner or "",
        "facts": facts,
        "tables": {t.name: t.title for t in workspace.tables()},
        "figures": {f.name: f.title for f in workspace.figures()},
    }


def copy(workspace: Workspace, folder: Path) -> None:
    """Page, results, release, tables and figures of a finished run."""
    paths = workspace.paths
    for file in (paths.report, paths.results, paths.release):
        shutil.copy(file, folder)
    for path in (paths.table("x").parent, paths.figure("x").parent):
        shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("*.provenance.json"))


def contents(site: Path) -> str:
    """The page that lists the runs of a site, the latest scores first."""
    runs = [{"folder": f.parent.name, **read_json(f)} for f in sorted(site.glob(f"*/{RECORD}"))]
    runs.sort(key=lambda r: r["facts"]["Scored"], reverse=True)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("site.html.jinja").render(runs=runs)


def main() -> None:
    parser = job.parser("Write the static site of a finished run.", "--out")
    add_config_argument(parser)
    args = parser.parse_args()
    workspace, folder = Workspace(config_of(args)), args.out.parent
    with atomic_folder(folder) as partial:
        copy(workspace, partial)
        write_text(partial / RECORD, json.dumps(record(workspace), indent=1) + "\n")
    write_text(folder.parent / "index.html", contents(folder.parent))
    print(f"{folder.parent}/index.html lists {folder.name}; to look at it: python -m http.server -d {folder.parent}")


if __name__ == "__main__":
    job.run(main)
