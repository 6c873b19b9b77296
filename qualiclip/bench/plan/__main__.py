"""What a run would cost, before anything is spent: `snakemake plan` and `snakemake plan_online`.

`python -m qualiclip.bench.plan --config scale=paper 'variants=[qualiclip]' --cores 8 --out results/paper/plan.txt`
prints a page, and writes it with its values (plan.json). The jobs are those of a dry run of `snakemake all`, so that
what is finished is not counted again. --online asks every address for its size, without fetching a file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from qualiclip.bench import job
from qualiclip.bench.cards.scale import add_config_argument, config_of
from qualiclip.bench.plan import downloads
from qualiclip.bench.plan.addresses import ask_all
from qualiclip.bench.plan.costs import read_record
from qualiclip.bench.plan.facts import plan
from qualiclip.bench.plan.jobs import planned
from qualiclip.bench.plan.measure import measure
from qualiclip.bench.plan.page import page
from qualiclip.bench.workspace import Workspace
from qualiclip.io import write_text
from qualiclip.tensors import pick_device


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m qualiclip.bench.plan", description=__doc__.splitlines()[0])
    add_config_argument(parser)
    parser.add_argument("--cores", type=int, default=1, help="cores of the run (default: %(default)s)")
    parser.add_argument("--online", action="store_true", help="ask every address for its size")
    parser.add_argument("--out", type=Path, help="write the page there, and its values beside it")
    parser.add_argument("--speeds", type=Path, help="write the speeds of this machine there")
    args = parser.parse_args()
    # what would be done, and fetched
    workspace = Workspace(config_of(args))
    jobs = planned(args.config, args.cores)
    groups = downloads.needed(jobs, workspace)
    answers = ask_all(f.address for g in groups for f in g if f.address) if args.online else None
    # how long it would take
    record = read_record()
    device = pick_device("cpu" if workspace.config.device == "cpu" else "auto")
    speeds = measure(jobs, workspace, record, device)
    if args.speeds:
        speeds.write(args.speeds)
    facts = plan(jobs, groups, workspace, speeds, record, answers)
    text = page(facts, args.cores)
    if args.out:
        write_text(args.out, text)
        write_text(args.out.with_suffix(".json"), json.dumps(facts, indent=1) + "\n")
    print(text, end="")


if __name__ == "__main__":
    job.run(main)
