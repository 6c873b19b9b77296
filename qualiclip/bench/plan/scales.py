"""The table of costs in docs/scales.md, from the plans of all scales.

`python -m qualiclip.bench.plan.scales` (part of `make docs`) writes it again: counted by Snakemake in an empty
folder, and timed by speeds recorded with `python -m qualiclip.bench.plan --speeds docs/results/speeds-<scale>.json`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qualiclip.bench import job
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.plan import downloads
from qualiclip.bench.plan.costs import Speeds, read_record
from qualiclip.bench.plan.facts import plan
from qualiclip.bench.plan.jobs import planned
from qualiclip.bench.plan.page import gigabytes, hours, total
from qualiclip.bench.workspace import Workspace
from qualiclip.io import write_text

PAGE = Path("docs/scales.md")
ORDER = ("mini", "scratch", "paper")
Column = tuple[Workspace, dict[str, Any]]  # a scale, and its plan


def recorded(scale: str) -> Path:
    """The speeds behind the printed times of a scale."""
    return Path(f"docs/results/speeds-{scale}.json")


def column(scale: str) -> Column:
    """A scale and the plan of its whole run, in folders where nothing is."""
    with tempfile.TemporaryDirectory() as empty:
        fresh = {"scale": scale, "results": f"{empty}/results", "data": f"{empty}/raw"}
        workspace = Workspace(load_config(fresh))
        jobs = planned([f"{key}={value}" for key, value in fresh.items()])
        groups = downloads.needed(jobs, workspace)
        return workspace, plan(jobs, groups, workspace, Speeds.read(recorded(scale)), read_record())


def _trainings(w: Workspace, p: dict[str, Any]) -> str:
    n = sum(t["trainings"] for t in p["trainings"])
    steps = sum(t["trainings"] * t["steps"] for t in p["trainings"])
    photos = f"{w.training_set.images.count:,} photos of {w.training_set.title.partition(',')[0]}"
    return f"{n}, {steps:,} steps on {photos}"


def _by_hand(p: dict[str, Any]) -> str:
    owners = dict.fromkeys(f["owner"] for f in p["by_hand"])
    return ", ".join(owners) or "nothing"


def _disk(p: dict[str, Any]) -> str:
    """What is known of the data, and the results."""
    results = p["results_megabytes"]["known"] + p["unpacked_megabytes"]["known"]
    unknown = p["unpacked_megabytes"]["unknown"]
    return gigabytes(results) + (f" + {unknown} sets unpacked, unknown" if unknown else "")


ROWS: dict[str, Callable[[Workspace, dict[str, Any]], str]] = {
    "methods in the tables": lambda w, p: str(p["methods"]),
    "jobs": lambda w, p: f"{p['jobs']:,}",
    "score files": lambda w, p: f"{p['score_files']:,}",
    "trainings": _trainings,
    "images scored": lambda w, p: f"{p['images_scored']:,} by {len(p['scorings'])} methods",
    "to download": lambda w, p: total(p["download_megabytes"]),
    "weights and published scores among it": lambda w, p: f"{p['weights']['files']} files",
    "by hand": lambda w, p: _by_hand(p),
    "disk: sets and results": lambda w, p: _disk(p),
    "disk: while a variant is trained": lambda w, p: gigabytes(p["training_megabytes"]),
    "training, one core": lambda w, p: hours(sum(t["seconds"] or 0 for t in p["trainings"])),
    "scoring, one core": lambda w, p: hours(sum(s["seconds"] or 0 for s in p["scorings"])),
    "whole run, one core": lambda w, p: hours(p["core_seconds"]),
    "jobs without an estimate": lambda w, p: str(sum(p["unknown_jobs"].values())),
}


def table(columns: dict[str, Column]) -> str:
    """A Markdown table: one column per scale."""
    lines = ["| planned | " + " | ".join(f"`{s}`" for s in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        "| " + " | ".join([name, *(cell(w, p) for w, p in columns.values())]) + " |" for name, cell in ROWS.items()
    ]
    return "\n".join(lines)


def replaced(text: str, new: str) -> str:
    """The text with `new` in place of the table of the same first line. Raises ValueError where there is none."""
    first = new.partition("\n")[0]
    out, n = re.subn(rf"^{re.escape(first)}\n(\|.*\n)+", lambda _: f"{new}\n", text, flags=re.MULTILINE)
    if n != 1:
        raise ValueError(f"there are {n} tables that begin with {first!r}, not one")
    return out


def main() -> None:
    new = table({scale: column(scale) for scale in ORDER})
    write_text(PAGE, replaced(PAGE.read_text(encoding="utf-8"), new))
    print(PAGE)


if __name__ == "__main__":
    job.run(main)
