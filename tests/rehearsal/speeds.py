"""Write workflow/speeds.csv: what methods cost whose weights are a download, and what small jobs cost.

`python -m tests.rehearsal.speeds WORK RESULTS RAW`. Released weights need not be here: random ones of the same shape,
made in WORK, take as long. Each method is loaded and measured alone, in a process of one thread. The small jobs are
done once more, on the results of a finished run of scale mini.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pickle
import runpy
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyiqa.archs
import torch
from pyiqa.default_model_configs import DEFAULT_CONFIGS

from qualiclip.bench import provenance
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.plan.costs import CALIBRATION, RECORD, Cost
from qualiclip.bench.plan.measure import calibration, method_costs, processor, time_per_split, time_training
from qualiclip.bench.score import per_split
from qualiclip.bench.workspace import Workspace
from qualiclip.config import TrainConfig
from qualiclip.io import read_json, write_text
from tests.rehearsal import weights
from tests.rehearsal.python import without_network

Row = tuple[str, float, float, float, float | None]  # what, job, image, megapixel, memory_mb
ENCODER = TrainConfig()  # of the methods that are trained on features: the paper's


def cost_of(card: MethodCard, mirror: Path, folder: Path) -> dict[str, Cost]:
    """Costs of one method with random weights. Raises NotRun."""
    if not card.features_of:
        return method_costs(card, None, 0, folder, "cpu", mirror)
    # of a method that learns for many epochs, one is enough to know them all
    method: Any = per_split.create(card, folder / "checkpoint", mirror)
    epochs = getattr(method, "epochs", 1)
    method.epochs = 1
    return {card.name: time_per_split(method, 1024, "cpu").times(epochs)}


def alone(work: Callable[[], dict[str, Cost]]) -> tuple[dict[str, Cost] | str, float, float]:
    """What `work` returns in a fork, or why it failed; and the CPU seconds and the largest memory in MB of the fork."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            answer: Any = work()
        except BaseException as e:
            answer = f"{type(e).__name__}: {e}".splitlines()[0]
        os.write(writer, pickle.dumps(answer))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pickle.loads(pipe.read() or pickle.dumps("killed"))
    _, _, usage = os.wait4(pid, 0)
    return answer, usage.ru_utime + usage.ru_stime, round(usage.ru_maxrss / 1024)


def job(module: str, *arguments: str | Path) -> float:
    """CPU seconds of one job of the workflow, started warm: libraries are imported, this suite is not."""

    def work() -> dict[str, Cost]:
        for name in [n for n in sys.modules if n.split(".")[0] == "qualiclip"]:
            del sys.modules[name]
        sys.argv = [module, *map(str, arguments)]
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        return {}

    answer, seconds, _ = alone(work)
    if answer:
        raise RuntimeError(f"{module}: {answer}")
    return seconds


def small_jobs(results: Path, raw: Path, folder: Path) -> dict[str, Cost]:
    """Jobs whose cost hardly depends on the scale, done on the results of a run of scale mini."""
    workspace = Workspace(load_config({"scale": "mini", "results": str(results.parent), "data": str(raw)}))
    paths, out = workspace.paths, folder / "out"
    config = ["--config", "scale=mini", f"results={results.parent}", f"data={raw}", "--out"]
    bench = "qualiclip.bench"
    m, d = workspace.scored()[0]
    found = ["--scores", paths.scores(m.name, d.name), "--index", paths.index(d.name), "--out", out / "metrics.csv"]
    tables = [job(f"{bench}.tables.render", t.path, *config, out / f"{t.name}.md") for t in workspace.tables()]
    figures = [job(f"{bench}.figures.draw", f.path, *config, out / f"{f.name}.png") for f in workspace.figures()]
    explained = [read_json(f)["cpu_seconds"] for f in (results / "explain").glob("*.provenance.json")]
    seconds = {
        "metrics": job(f"{bench}.metrics.correlate", m.path, d.path, *found),
        "table": statistics.mean(tables),
        "figure": statistics.mean(figures),
        "report": job(f"{bench}.report.page", *config, out / "report.html"),
        "explain": statistics.mean(explained),
    }
    made = [d for d in workspace.datasets() if d.make and d.make.needs == []]
    made += [d for d in workspace.datasets() if d.make and d.make.needs]
    seconds |= {f"fetch {d.name}": job(f"{bench}.data.fetch", d.path, "--raw", folder / "raw") for d in made}
    # what any job needs to begin is the least that a score file took
    records = [read_json(f)["cpu_seconds"] for f in (results / "scores").rglob("*.provenance.json")]
    start = min(records)
    return {"start": Cost(start)} | {name: Cost(max(0.0, s - start)) for name, s in seconds.items()}


def methods(workspace: Workspace, mirror: Path, folder: Path) -> list[Row]:
    """Methods that cannot be measured without a download; metrics of one architecture are measured once."""
    answers: dict[str, tuple[dict[str, Cost] | str, float]] = {}
    rows: list[Row] = []
    for card in workspace.methods():
        if not card.sees_images or card.not_run or not (card.weights or card.pyiqa or card.features_of):
            continue
        kind = DEFAULT_CONFIGS[card.pyiqa]["metric_opts"]["type"] if card.pyiqa else card.name
        if kind not in answers:
            answer, _, memory = alone(partial(cost_of, card, mirror, folder))
            answers[kind] = answer, memory
            print(card.name, answer, memory, flush=True)
        costs, memory = answers[kind]
        if isinstance(costs, dict):
            named = {card.name: next(iter(costs.values()))} if card.pyiqa else costs
            rows += [(what, c.job, c.image, c.megapixel, memory) for what, c in named.items()]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder for random weights, some 15 GB")
    parser.add_argument("results", type=Path, help="results/mini of a finished run")
    parser.add_argument("raw", type=Path, help="its raw datasets")
    parser.add_argument("--out", type=Path, default=RECORD, help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    workspace, mirror = Workspace(load_config({"scale": "paper"})), args.work.resolve() / "mirror"
    # weights, and libraries that find them
    torch.hub.set_dir(args.work.resolve() / "cache")
    weights.make(mirror, workspace, small=False)
    pyiqa.archs._lazy_import_arch("all of them")
    weights.pin_clip(mirror)
    without_network()
    rows: list[Row] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        costs = {CALIBRATION: calibration("cpu"), **small_jobs(args.results.resolve(), args.raw.resolve(), folder)}
        rows += [(what, c.job, c.image, c.megapixel, None) for what, c in costs.items()]
        print(costs, flush=True)
        # methods that cannot be measured without a download
        time_training(ENCODER, folder, "cpu", folder / "checkpoint")
        rows += methods(workspace, mirror, folder)
    # the record
    table = pd.DataFrame(rows, columns=["what", "job", "image", "megapixel", "memory_mb"])
    head = f"# Seconds of one core of {processor()}, commit {provenance.revision()}, random weights.\n"
    write_text(args.out, head + table.to_csv(index=False, float_format="%.4g"))


if __name__ == "__main__":
    main()
