"""The paper's own DAG, whole, in minutes, on a CPU without network: `make rehearsal`.

A copy of the tree runs `snakemake all --config scale=paper` from a mirror that this makes: a small archive of every
dataset in its native format, random weights for every method under the names that are looked for. The copy differs
in sizes alone (sizes.yaml, and the counts, SHA-256 and resize of dataset cards), and takes weights whose SHA-256 is not
the one in their name. Its numbers mean nothing; that every rule, card, table and figure of the paper's scale comes to
its end is what is shown.

`--absent PATH ...` leaves files or folders out of the mirror, such as `cviu` or `pyiqa/CNNIQA_koniq10k-e6f14c91.pth`,
as if they could not be had. After the run the first of them is put back, and the run repeated: its jobs are listed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import chdir
from pathlib import Path

import pandas as pd
import yaml

from qualiclip.bench.absence import reason_of
from qualiclip.bench.cards.base import DATASETS, METHODS, read_yaml
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard, PrecomputedScores
from qualiclip.bench.cards.scale import add_config_argument, config_of
from qualiclip.bench.data.index import labelled
from qualiclip.bench.formats import read_scores, refusal
from qualiclip.bench.workspace import Workspace
from qualiclip.io import read_json
from tests.support.commands import ROOT
from tests.support.fake_releases import RELEASES, N, Release, packed, small
from tests.support.trees import COPIED, append, edit
from tests.support.warm_server import warm_server

SIZE, SHORTER_SIDE = (232, 224), 224  # px; 224 is the least that every method takes
SIZES = Path(__file__).with_name("sizes.yaml")


def used_datasets(workspace: Workspace) -> list[DatasetCard]:
    """Datasets of the scale that have a release: those of tables, those behind training, fits and figures, and those
    that other sets are made of."""
    others = (workspace.training_set, workspace.fit_set, workspace.figure_set, workspace.gmad_set)
    used = {d.name: d for d in (*workspace.datasets(), *others)}
    needed = {n for d in used.values() if d.make for n in d.make.needs}
    return [workspace.all_datasets[n] for n in sorted(used | dict.fromkeys(needed)) if workspace.all_datasets[n].files]


def copy(target: Path) -> None:
    """The project, its paper scale in small; what an earlier rehearsal made in `target` stays."""
    for name in COPIED:
        source, here = ROOT / name, target / name
        if source.is_dir():
            for old in [p for p in here.rglob("*.*") if p.is_file() and not p.is_relative_to(here / "raw")]:
                old.unlink()
            shutil.copytree(source, here, ignore=shutil.ignore_patterns("raw", "__pycache__"), dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, here)
    # jobs import the copy's modules: made weights have the released names, but not the SHA-256 that ends some of them
    append(target / "qualiclip/bench/methods/weights.py", '\nNAMED_HASH = re.compile("(?!)")\n')
    sizes = read_yaml(SIZES)
    edit(target / "workflow/config/paper.yaml", sizes["config"])
    for folder in (METHODS, DATASETS):
        for name, changes in sizes[folder.name].items():
            edit(target / folder / f"{name}.yaml", changes)


def write_release(card: DatasetCard, mirror: Path, datasets: Path) -> tuple[DatasetCard, Release]:
    """Lay a small release of a dataset into the mirror, and its card, in small, into `datasets`."""
    archive = next(f.filename for f in card.files if f.extract)
    release = RELEASES[card.name](archive)
    files = {n: c if isinstance(c, bytes) else packed(n, c, SIZE) for n, c in release.files.items()}
    for name, content in files.items():
        path = mirror / card.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    reduced = small(card, archive, Release(files, release.rows))
    if card.resize:
        reduced = reduced.model_copy(update={"resize": card.resize.model_copy(update={"shorter_side": SHORTER_SIDE})})
    content = reduced.model_dump(mode="json", exclude_defaults=True)
    (datasets / f"{card.name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return reduced, release


def write_precomputed(
    methods: list[MethodCard], dataset: DatasetCard, release: Release, mirror: Path, scratch: Path
) -> None:
    """Precomputed scores of a small release: a little of its labels, a little of each method's own."""
    # the labels, out of the archive
    for name, content in release.files.items():
        members = content if isinstance(content, dict) else {name: content}
        for member, inner in members.items():
            if inner is not None:
                (scratch / member).parent.mkdir(parents=True, exist_ok=True)
                (scratch / member).write_bytes(inner)
    labels = labelled(dataset, scratch)
    # a score file and a file of names for each method
    for k, m in enumerate(methods):
        item, store = m.scores.files[dataset.name], m.scores
        theirs, known = store.mos
        scores = (labels["mos"].rank() * (k + 2)) % (N + 1) / N
        for file, table in (
            (item.names, pd.DataFrame({store.image or "image_name": labels["image"], known: labels["mos"]})),
            (item.scores, pd.DataFrame({store.score: scores, theirs: labels["mos"]})),
        ):
            path = mirror / store.store / file
            path.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(path, index=False)


def prepare(workspace: Workspace, tree: Path, mirror: Path, scratch: Path) -> None:
    """The copy of the tree and the mirror's datasets."""
    copy(tree)
    precomputed = [m for m in workspace.methods() if isinstance(m.scores, PrecomputedScores)]
    for card in used_datasets(workspace):
        reduced, release = write_release(card, mirror, tree / "datasets")
        if scored := [m for m in precomputed if card.name in m.scores.files]:
            write_precomputed(scored, reduced, release, mirror, scratch / card.name)


def not_run(workspace: Workspace) -> dict[str, str]:
    """Method -> why it has no score on any set that is here; a method that has some is not in it."""
    reasons: dict[str, set[str]] = defaultdict(set)
    for m, d in workspace.scored():
        if reason_of(workspace.paths.scores(m.name, d.name)):
            continue
        scores = read_scores(workspace.paths.scores(m.name, d.name))
        reasons[m.title] |= {refusal(scores)} if refusal(scores) else set(scores["error"])
    return {m: min(why) for m, why in reasons.items() if "" not in why}


def faults(workspace: Workspace) -> list[str]:
    """What is wrong with the outputs; empty where all is there, with the banner."""
    paths = workspace.paths
    expected = [paths.report, *(paths.table(t.name) for t in workspace.tables())]
    expected += [paths.figure(f.name) for f in workspace.figures()]
    out = [f"{p} is missing" for p in expected if not p.is_file()]
    if workspace.config.methods is None:  # a run of some methods leaves out the figures of others
        out += [f"figure not drawn: {title} ({why})" for title, why in workspace.figures_left_out().items()]
    for p in expected:
        if p.suffix in (".md", ".html") and p.is_file() and "numbers mean nothing" not in p.read_text():
            out.append(f"{p} does not say that its numbers mean nothing")
    return out


def cost_of_jobs(workspace: Workspace) -> pd.DataFrame:
    """Folder of results -> number of jobs, their CPU seconds and their largest memory, from the records they left."""
    rows = []
    for path in workspace.paths.root.rglob("*.provenance.json"):
        facts = read_json(path)
        if "cpu_seconds" in facts:
            folder = path.relative_to(workspace.paths.root).parts[0]
            rows.append((folder, facts["cpu_seconds"], facts["peak_memory_mb"]))
    table = pd.DataFrame(rows, columns=["folder", "seconds", "memory"]).groupby("folder")
    columns = {"jobs": ("seconds", "count"), "seconds": ("seconds", "sum"), "memory": ("memory", "max")}
    return table.agg(**columns).sort_values("seconds", ascending=False)


def summary(workspace: Workspace) -> bool:
    """Print what took how long, what was not run and why; whether everything else is there."""
    for row in cost_of_jobs(workspace).itertuples():
        print(f"  {row.Index:12s} {row.jobs:5.0f} jobs {row.seconds:7.0f} s of CPU, at most {row.memory:.0f} MB")
    wrong = faults(workspace)
    counts = {"tables": workspace.tables(), "figures": workspace.figures(), "methods": workspace.methods()}
    print(", ".join(f"{name} {len(cards)}" for name, cards in counts.items()))
    if not wrong:
        print("not run:")
        for title, why in sorted(not_run(workspace).items()):
            print(f"{title}: {why}")
        print("\n".join(filter(None, (reason_of(workspace.paths.index(d.name)) for d in workspace.datasets()))))
    print("\n".join(wrong) or f"open {workspace.paths.report.resolve()}")
    return not wrong


def move(names: list[Path], source: Path, target: Path) -> None:
    """Move files or folders, named by their paths below `source`, to the same paths below `target`."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source / name, target / name)


def jobs_of(log: Path) -> dict[str, int]:
    """Rule -> number of jobs, by the log of a run."""
    return dict(Counter(re.findall(r"^(?:local)?rule (\w+):", log.read_text(), re.MULTILINE)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build/rehearsal", help="some 13 GB; a rehearsal that was stopped goes on"
    )
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--absent", type=Path, nargs="+", default=[], metavar="PATH", help="what the mirror lacks")
    add_config_argument(parser)
    parser.set_defaults(config=["scale=paper"])
    args = parser.parse_args()
    work = args.work.resolve()
    tree, mirror, aside, start = work / "tree", work / "mirror", work / "aside", time.monotonic()

    def passed(step: str) -> None:
        print(f"[{(time.monotonic() - start) / 60:5.1f} min] {step}", flush=True)

    # the tree, and a mirror of its datasets
    move([p.relative_to(aside) for p in aside.rglob("*") if p.is_file()], aside, mirror)  # of an earlier rehearsal
    with chdir(ROOT):
        workspace = Workspace(config_of(args))
        prepare(workspace, tree, mirror, work / "labels")
    passed(f"archives of {len(used_datasets(workspace))} datasets")
    # weights
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "TORCH_HOME": str(work / "cache/torch"),
        "HF_HOME": str(work / "cache/huggingface"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # two threads of a small model on a busy machine do little but wait
        "MKL_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.rehearsal.weights", str(mirror), "--config", *args.config]
    with (work / "weights.log").open("w") as log:
        if subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False).returncode:
            sys.exit(f"error: no weights, see {work / 'weights.log'}")
    passed(f"weights of {len(workspace.methods())} methods")
    # the run: its jobs are done by a Python that is prepared for them
    (work / "warm").unlink(missing_ok=True)  # of a rehearsal that was killed
    server = warm_server(work / "warm", "-m", "tests.rehearsal.python", str(mirror), environment=environment)
    snakemake = str(Path(sys.executable).with_name("snakemake"))
    command = [snakemake, "--cores", str(args.cores), "--keep-going", "--rerun-incomplete", "--nolock", "all"]
    command += ["--scheduler-subsample", "16"]  # else each job looks at the inputs of all that are ready
    command += ["--config", f"mirror={mirror}", "device=cpu", *args.config]
    move(args.absent, mirror, aside)
    complete = True
    with server as (_, changes):
        for back in [[], *([args.absent[:1]] if args.absent else [])]:
            move(back, aside, mirror)
            path = work / f"snakemake{'_again' * len(back)}.log"
            with path.open("w") as log:
                done = subprocess.run(command, cwd=tree, env=environment | changes, stdout=log, stderr=log, check=False)
            passed(f"snakemake ended with {done.returncode}, see {path}")
            print(*(f"with {p} again: {jobs_of(path)}" for p in back), sep="\n")
            with chdir(tree):
                complete &= done.returncode == 0 and summary(Workspace(config_of(args)))
    sys.exit(not complete)


if __name__ == "__main__":
    main()
