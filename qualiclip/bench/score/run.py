"""Score one dataset with one method: the only expensive result.

`python -m qualiclip.bench.score.run baselines/piqe.yaml datasets/agiqa3k.yaml --index ... --raw ... --out ...`
Every indexed image has a row, in index order. An image that fails has an empty score, and the reason in `error`.

Finished rows are kept in partial results beside the score file, so that a killed job resumes. Several jobs can share
a large set: with `--shard K/N` a job scores every Nth batch, and shards.py merges the files.
"""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import torch

from qualiclip.bench import job, provenance
from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import oriented, read_index, refusal, refused_scores, write_csv
from qualiclip.bench.methods.contract import Method, NotRun
from qualiclip.bench.methods.load import create
from qualiclip.bench.score import shards
from qualiclip.bench.score.batch import Scorer, prepare_process, score_all, size_batches
from qualiclip.bench.score.partial import Partial
from qualiclip.bench.sources import ROOT, closure, sources
from qualiclip.config import WEIGHTS
from qualiclip.io import digest, sha256


def run(
    method: Method,
    card: MethodCard,
    dataset: DatasetCard,
    index: pd.DataFrame,
    raw: Path,
    device: str = "cpu",
    workers: int = 0,
    partial: Partial | None = None,
    shard: tuple[int, int] = (1, 1),
) -> pd.DataFrame:
    """Scores of every row of the index, or of one shard: image, score, error, indexed by row.

    workers: processes that read images, and on a CPU also score them; 0 works in this one.
    partial: where finished rows are kept, and resumed from. A method that is NotRun gives a refused score file.
    shard: (k, n), k from 1 to n.
    """
    # rows of this shard: whole batches, so that no score depends on the number of shards
    whole = size_batches(index, card.input.batch)
    rows = sorted(row for batch in whole[shard[0] - 1 :: shard[1]] for row in batch)
    here = index.loc[rows]
    try:
        method.load(device)
    except NotRun as e:
        return refused_scores(here, str(e))
    # what an earlier run has not finished
    partial = partial or Partial(None)
    todo = size_batches(index, card.input.batch, partial.done() | set(index.index.difference(here.index)))
    files = [raw / dataset.name / f for f in index["image"]]
    scorer = Scorer(method, index, files, device, card.input)
    score_all(scorer, dataset, todo, partial, workers, f"{card.name} on {dataset.name}", len(here))
    return partial.table(index).loc[here.index]


def oriented_labels(index: pd.DataFrame, dataset: DatasetCard) -> pd.DataFrame:
    """The index, its labels turned so that higher is better. Raises CardError for a set without labels."""
    if dataset.labels is None:
        raise CardError(f"{dataset.path}: this control needs labels, and the set has none")
    return index.assign(mos=oriented(index["mos"], dataset.labels))


def partial_key(card: MethodCard, dataset: DatasetCard, inputs: list[Path], module: str) -> str:
    """Digest of all that determines what `module` makes: partial results of another key are not used."""
    code = {*sources(module)}
    code |= set(closure(card.sibling(card.module.partition(":")[0]))) if card.module else set()
    files = [sha256(ROOT / f) for f in sorted(code)] + [sha256(f) for f in inputs]
    return digest([card.score_digest(), dataset.resize, files, provenance.packages()])


def main() -> None:
    names = (*job.METHOD, "dataset", "--index", "--raw", "--fitted", "--mirrored")
    parser = job.parser("Score every image of a dataset with one method.", *names, "--threads", "--out")
    parser.add_argument("--shard", type=shards.number, default=(1, 1), metavar="K/N", help="score every Nth batch only")
    args = parser.parse_args()
    job.exit_on_sigterm()
    prepare_process()  # one thread: cores go to worker processes, and a pool of threads would not survive the fork
    torch.backends.cudnn.benchmark = False
    start = time.perf_counter()
    if job.absent([args.index], args.out):
        return
    # cards and inputs
    card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
    index = read_index(args.index, sizes=True)
    device = job.device("cpu" if card.input.device == "cpu" else args.device)
    checkpoint = args.checkpoint and args.checkpoint / WEIGHTS
    # partial results of an earlier, killed job with the same inputs
    inputs = [args.index, *filter(None, (checkpoint, args.fitted))]
    key = partial_key(card, dataset, inputs, "qualiclip.bench.score.run")
    partial = Partial(args.out.with_name(f".{args.out.stem}.{key}.partial"))
    resumed = len(partial.done())
    # score
    labels = oriented_labels(index, dataset) if card.reads_labels else None
    method = create(card, args.checkpoint, args.mirror, args.trust, fitted=args.fitted, labels=labels)
    workers = args.threads if args.threads > 1 else 0
    scores = run(method, card, dataset, index, args.raw, device, workers, partial, args.shard)
    # write the file and its record
    seconds = time.perf_counter() - start
    write_csv(scores, args.out, **(shards.FORMAT if args.shard != (1, 1) else {}))
    job.record(
        args.out,
        card,
        dataset,
        args.index,
        checkpoint,
        failed=int((scores["error"] != "").sum()),
        complete=not refusal(scores),
        mirrored=args.mirrored,
        device=job.device_name(device),
        threads=args.threads,
        seconds=round(seconds, 3),
        resumed=resumed,
        images_per_second=round((len(scores) - resumed) / seconds, 3),
    )
    partial.clear()


if __name__ == "__main__":
    job.run(main)
