"""The paper's own DAG, whole, in minutes, on a CPU without network: `make rehearsal`.

A copy of the tree runs `snakemake all --config scale=paper` from a mirror that this makes: a small archive of every
dataset in its native format, random weights for every method under the names that are looked for. The copy differs
in sizes alone (sizes.yaml, and the counts, SHA-256 and resize of dataset cards). Its numbers mean nothing; that every
rule, card, table and figure of the paper's scale comes to its end is what is shown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import chdir
from pathlib import Path

import pandas as pd
import yaml

from qualiclip.bench.cards.base import read_yaml
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard, PrecomputedScores
from qualiclip.bench.data.index import labelled
from qualiclip.bench.workspace import Workspace
from tests.conftest import ROOT
from tests.support.fake_releases import RELEASES, N, Release, packed, small
from tests.support.warm_python import started
from tests.workflow.test_dag import COPIED, edit

SIZE, SHORTER_SIDE = (232, 224), 224  # px; 224 is the least that every method takes
SIZES = Path(__file__).with_name("sizes.yaml")


def used(space: Workspace) -> list[DatasetCard]:
    """Datasets of the scale: those of tables, and those behind training, fits and figures."""
    c = space.config
    names = {d.name for d in space.datasets()} | {c.pristine, c.photos, c.gmad, c.fit or c.pristine}
    return [space.all_datasets[n] for n in sorted(names)]


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
    sizes = read_yaml(SIZES)
    edit(target / "workflow/config/paper.yaml", sizes["config"])
    for name, changes in sizes["methods"].items():
        edit(target / f"baselines/{name}.yaml", changes)


def archive(card: DatasetCard, mirror: Path, datasets: Path) -> tuple[DatasetCard, Release]:
    """Lay a small release of a dataset into the mirror, and its card, in small, into `datasets`."""
    chosen = next(f.filename for f in card.files if f.extract)
    release = RELEASES[card.name](chosen)
    files = {n: c if isinstance(c, bytes) else packed(n, c, SIZE) for n, c in release.files.items()}
    for name, content in files.items():
        path = mirror / card.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    reduced = small(card, chosen, Release(files, release.rows))
    if card.resize:
        reduced = reduced.model_copy(update={"resize": card.resize.model_copy(update={"shorter_side": SHORTER_SIDE})})
    content = reduced.model_dump(mode="json", exclude_defaults=True)
    (datasets / f"{card.name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return reduced, release


def publish(methods: list[MethodCard], dataset: DatasetCard, release: Release, mirror: Path, scratch: Path) -> None:
    """Published scores of a small release: a little of its labels, a little of each method's own."""
    for name, content in release.files.items():  # labels, out of the archive
        members = content if isinstance(content, dict) else {name: content}
        for member, inner in members.items():
            if inner is not None:
                (scratch / member).parent.mkdir(parents=True, exist_ok=True)
                (scratch / member).write_bytes(inner)
    labels = labelled(dataset, scratch)
    for k, m in enumerate(methods):
        item, store = m.scores.files[dataset.name], m.scores
        theirs, known = store.mos
        scores = (labels["mos"].rank() * (k + 2)) % (N + 1) / N
        for file, table in (
            (item.names, pd.DataFrame({"image_name": labels["image"], known: labels["mos"]})),
            (item.scores, pd.DataFrame({store.score: scores, theirs: labels["mos"]})),
        ):
            path = mirror / store.store / file
            path.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(path, index=False)


def prepare(space: Workspace, tree: Path, mirror: Path, scratch: Path) -> None:
    """The copy of the tree and the mirror's datasets."""
    copy(tree)
    published = [m for m in space.methods() if isinstance(m.scores, PrecomputedScores)]
    for card in used(space):
        reduced, release = archive(card, mirror, tree / "datasets")
        if scored := [m for m in published if card.name in m.scores.files]:
            publish(scored, reduced, release, mirror, scratch / card.name)


def not_run(space: Workspace) -> dict[str, str]:
    """Method -> why it has no score on any set; a method that has some is not in it."""
    reasons: dict[str, set[str]] = defaultdict(set)
    for m, d in space.scored():
        errors = pd.read_csv(space.scores(m, d), keep_default_na=False)["error"]
        reasons[m.title] |= set(errors) if len(errors) else {""}
    return {m: min(why) for m, why in reasons.items() if "" not in why}


def shown(space: Workspace) -> list[str]:
    """What is wrong with the outputs; empty where all is there, with the banner."""
    wanted = [space.report, *map(space.table, space.all_tables.values()), *map(space.figure, space.figures())]
    wrong = [f"{p} is missing" for p in wanted if not p.is_file()]
    wrong += [f"figure not drawn: {title} ({why})" for title, why in space.figures_left_out().items()]
    for p in wanted:
        if p.suffix in (".md", ".html") and p.is_file() and "numbers mean nothing" not in p.read_text():
            wrong.append(f"{p} does not say that its numbers mean nothing")
    return wrong


def summary(space: Workspace, spent: Path) -> bool:
    """Print what took how long, what was not run and why; whether everything else is there."""
    if spent.is_file():
        seconds = pd.read_csv(spent, sep="\t", names=["program", "seconds"])
        seconds["program"] = seconds["program"].str.rpartition(".")[2]
        found = seconds.groupby("program")["seconds"].agg(["count", "sum"]).sort_values("sum", ascending=False)
        for program, (count, total) in found.iterrows():
            print(f"  {program:12s} {count:5.0f} jobs {total:7.0f} s of CPU")
    wrong = shown(space)
    print(f"tables {len(space.all_tables)}, figures {len(space.figures())}, methods {len(space.methods())}")
    if not wrong:
        print("not run:")
        for title, why in sorted(not_run(space).items()):
            print(f"{title}: {why.removeprefix('not run: ')}")
    print("\n".join(wrong) or f"open {(space.root / 'report.html').resolve()}")
    return not wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build/rehearsal", help="some 13 GB; a rehearsal that was stopped goes on"
    )
    parser.add_argument("--cores", type=int, default=2)
    Workspace.add_arguments(parser)
    parser.set_defaults(config=["scale=paper"])
    args = parser.parse_args()
    work = args.work.resolve()
    tree, mirror, start = work / "tree", work / "mirror", time.monotonic()

    def passed(what: str) -> None:
        print(f"[{(time.monotonic() - start) / 60:5.1f} min] {what}", flush=True)

    with chdir(ROOT):
        space = Workspace.from_arguments(args)
        prepare(space, tree, mirror, work / "labels")
    passed(f"archives of {len(used(space))} datasets")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(work / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "TORCH_HOME": str(work / "cache/torch"),
        "HF_HOME": str(work / "cache/huggingface"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # two threads of a small model on a busy machine do little but wait
        "MKL_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.rehearsal.weights", str(mirror)]
    with (work / "weights.log").open("w") as log:
        if subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False).returncode:
            sys.exit(f"error: no weights, see {work / 'weights.log'}")
    passed(f"weights of {len(space.methods())} methods")
    server = ("-m", "tests.rehearsal.python", str(mirror))
    with started(work, *server, environment=environment), (work / "snakemake.log").open("w") as log:
        snakemake = str(Path(sys.executable).with_name("snakemake"))
        said = [f"mirror={mirror}", "device=cpu", *args.config]
        command = [snakemake, "--cores", str(args.cores), "--keep-going", "--rerun-incomplete", "--nolock", "all"]
        command += ["--scheduler-subsample", "16"]  # else each job looks at the inputs of all that are ready
        command += ["--config", *said]
        done = subprocess.run(command, cwd=tree, env=environment, stdout=log, stderr=log, check=False)
    passed(f"snakemake ended with {done.returncode}, see {work / 'snakemake.log'}")
    with chdir(tree):
        complete = summary(Workspace.from_arguments(args), work / "python.tsv")
    sys.exit(done.returncode or not complete)


if __name__ == "__main__":
    main()
