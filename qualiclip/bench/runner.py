"""Score one dataset with one method: the only expensive result.

`python -m qualiclip.bench.runner baselines/piqe.yaml datasets/agiqa3k.yaml --index ... --out ...`
Every indexed image has a row, in index order. An image that fails has an empty score and its reason.

Images are read in worker processes, in batches of one size. On a CPU the workers also score, each with
one thread: whole images side by side use the cores better than the many small operations of one image.
What is finished is kept in parts beside the score file, so that a killed job goes on from there.
Several jobs can share a large set: `--shard K/N` scores every Nth batch, `--shards FILES` merges what they wrote.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from qualiclip.bench import provenance, shards
from qualiclip.bench.card import CardError, digest, read_card
from qualiclip.bench.cards import DatasetCard, InputPolicy, MethodCard
from qualiclip.bench.code import ROOT, closure, sources
from qualiclip.bench.files import atomic, command, sha256
from qualiclip.bench.methods import Batch, Method, NotRun, create
from qualiclip.bench.parts import Parts, Row
from qualiclip.bench.tabular import read_index
from qualiclip.config import WEIGHTS
from qualiclip.images import open_rgb
from qualiclip.tensors import pick_device, to_tensor

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
PRECISION = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def shrink(image: Image.Image, shorter_side: int | None, how: str = "bicubic") -> Image.Image:
    """Resize so that the shorter side has `shorter_side` px; None leaves the image as it is."""
    if shorter_side is None or min(image.size) == shorter_side:
        return image
    scale = shorter_side / min(image.size)
    return image.resize([round(s * scale) for s in image.size], Image.Resampling[how.upper()])


class Images(Dataset):
    """Row -> (row, pixels uint8 (3, H, W), "") or (row, None, reason)."""

    def __init__(self, files: list[Path], dataset: DatasetCard, policy: InputPolicy):
        self.files, self.dataset, self.policy = files, dataset, policy

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[int, Tensor | None, str]:
        try:
            image = open_rgb(self.files[row])
            if self.dataset.resize:
                image = shrink(image, self.dataset.resize.shorter_side, self.dataset.resize.interpolation)
            return row, to_tensor(shrink(image, self.policy.shorter_side)), ""
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
            return row, None, f"cannot be read: {e}"


def batches(index: pd.DataFrame, size: int, done: frozenset[int] | set[int] = frozenset()) -> list[list[int]]:
    """Rows in batches of at most `size` images of one width and height, in index order otherwise.

    Rows of `done` are left out of batches that are the same with and without them, so that a resumed
    job scores an image in the company it would have had.
    """
    groups = index.groupby(["width", "height"], sort=False).indices.values()
    whole = [[int(r) for r in rows[i : i + size]] for rows in groups for i in range(0, len(rows), size)]
    return [rows for rows in whole if not done.issuperset(rows)]


def shard_rows(index: pd.DataFrame, size: int, k: int, n: int) -> list[int]:
    """Rows of shard k of n: those of every nth batch. Whole batches, so that no score depends on n."""
    return sorted(row for rows in batches(index, size)[k - 1 :: n] for row in rows)


def _out_of_memory(e: BaseException) -> bool:
    """torch raises its own class on a GPU, and a RuntimeError that only its text tells on a CPU."""
    return isinstance(e, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(e)


class Scorer:
    """Decoded images in, rows out. It runs where the method was loaded, or in forked copies of that process."""

    def __init__(self, method: Method, index: pd.DataFrame, files: list[Path], device: str, policy: InputPolicy):
        self.method, self.names, self.files, self.device, self.policy = method, index["image"], files, device, policy
        self.limit = policy.batch

    def __call__(self, items: list[tuple[int, Tensor | None, str]]) -> list[Row]:
        bad = [Row(row, None, reason) for row, x, reason in items if x is None]
        good = [(row, x) for row, x, _ in items if x is not None]
        sizes = {tuple(x.shape) for _, x in good}
        # an index that is older than its images may tell sizes wrongly: such images go one by one
        groups = [good] if len(sizes) == 1 else [[g] for g in good]
        return bad + [row for group in groups for row in self._rows([r for r, _ in group], [x for _, x in group])]

    def _rows(self, rows: list[int], images: list[Tensor]) -> list[Row]:
        step = min(self.limit, len(rows)) or 1
        return [r for i in range(0, len(rows), step) for r in self._try(rows[i : i + step], images[i : i + step])]

    def _try(self, rows: list[int], images: list[Tensor]) -> list[Row]:
        """One batch; halved where memory does not suffice, one by one where it fails otherwise."""
        try:
            scores = self._score(rows, torch.stack(images).to(self.device).float() / 255)
        except Exception as e:  # a method is foreign code: whatever it raises becomes the row's reason
            if len(rows) == 1:
                return [Row(rows[0], None, " ".join(f"{type(e).__name__}: {e}".split()))]
            memory = _out_of_memory(e)
        else:
            return [
                Row(row, score, "") if np.isfinite(score).all() else Row(row, None, f"the score is {score}")
                for row, score in zip(rows, scores, strict=True)
            ]
        if memory:  # outside of the handler, whose traceback would keep the batch's tensors alive
            self.limit = math.ceil(len(rows) / 2)
            if self.device == "cuda":
                torch.cuda.empty_cache()
            return self._rows(rows, images)
        return [r for i in range(len(rows)) for r in self._try(rows[i : i + 1], images[i : i + 1])]

    @torch.no_grad()
    def _score(self, rows: list[int], images: Tensor) -> list[float]:
        torch.manual_seed(self.policy.seed + rows[0])
        dtype = PRECISION.get(self.policy.precision) if self.device == "cuda" else None
        with torch.autocast("cuda", dtype) if dtype else nullcontext():
            batch = Batch(images, [self.names[r] for r in rows], [self.files[r] for r in rows])
            scores = self.values(batch)
        if len(scores) != len(rows):
            raise RuntimeError(f"{len(scores)} scores for {len(rows)} images")
        return scores

    def values(self, batch: Batch) -> list[Any]:
        """What an image's row holds."""
        return self.method.score(batch).double().flatten().tolist()


def prepare(_: int = 0) -> None:
    """A process that scores on a CPU: one thread, and freed memory stays with it.

    glibc gives large buffers, as metrics in float64 take by the dozen for an image, back to the system at once
    and fetches each page of them anew: more than half of NIQE's time.
    """
    torch.set_num_threads(1)
    with suppress(AttributeError, OSError, TypeError):  # another C library has no mallopt, and needs none
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def work(scorer: Scorer, dataset: DatasetCard, todo: list[list[int]], workers: int) -> Iterator[list[Row]]:
    """The rows of the batches `todo`, as they are finished; `workers` as in `run`."""
    near = scorer.device == "cpu" and workers > 0  # score where the image is read
    loader = DataLoader(
        Images(scorer.files, dataset, scorer.policy),
        batch_sampler=todo,
        collate_fn=scorer if near else list,
        num_workers=workers,
        worker_init_fn=prepare,
        multiprocessing_context="fork" if workers else None,  # workers share the loaded weights
    )
    for items in loader:
        yield items if near else scorer(items)


def run(
    method: Method,
    card: MethodCard,
    dataset: DatasetCard,
    index: pd.DataFrame,
    raw: Path,
    device: str = "cpu",
    workers: int = 0,
    parts: Parts | None = None,
    shard: tuple[int, int] = (1, 1),
) -> pd.DataFrame:
    """Scores of every row of the index, or of one shard: image, score, error, indexed by row.

    workers: processes that read images, and on a CPU score them; 0 works in this one.
    parts: where finished rows are kept and taken up from. A method that is NotRun fills every row with why.
    shard: (k, n), k from 1 to n.
    """
    files = [raw / dataset.name / f for f in index["image"]]
    here = index if shard == (1, 1) else index.iloc[shard_rows(index, card.input.batch, *shard)]
    try:
        method.load(device)
    except NotRun as e:
        return pd.DataFrame({"image": here["image"], "score": math.nan, "error": f"not run: {e}"})
    parts = parts or Parts(None)
    todo = batches(index, card.input.batch, parts.done() | set(index.index.difference(here.index)))
    scorer = Scorer(method, index, files, device, card.input)
    bar = tqdm(total=len(here), initial=len(parts.done()), desc=f"{card.name} on {dataset.name}", unit="image")
    try:
        for rows in work(scorer, dataset, todo, workers):
            parts.add(rows)
            bar.update(len(rows))
    finally:
        parts.write()
        bar.close()
    return parts.table(index).loc[here.index]


def oriented(index: pd.DataFrame, dataset: DatasetCard) -> pd.DataFrame:
    """The index with labels of which higher is better. Raises CardError for a set without labels."""
    if dataset.labels is None:
        raise CardError(f"{dataset.path}: this control needs labels, and the set has none")
    return index.assign(mos=index["mos"] * (1 if dataset.labels.higher_better else -1))


def key(card: MethodCard, dataset: DatasetCard, inputs: list[Path], module: str = "qualiclip.bench.runner") -> str:
    """Digest of all that determines what `module` makes: parts of another key are not taken up."""
    code = {*sources(module)}
    code |= set(closure(card.sibling(card.module.partition(":")[0]))) if card.module else set()
    files = [sha256(ROOT / f) for f in sorted(code)] + [sha256(f) for f in inputs]
    return digest([card.score_digest(), dataset.resize, files, provenance.packages()])


def main() -> None:
    parser = argparse.ArgumentParser(description="Score every image of a dataset with one method.")
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml")
    parser.add_argument("--index", type=Path, required=True, help="the dataset's index")
    parser.add_argument("--raw", type=Path, required=True, help="raw root")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint folder of the card's variant")
    parser.add_argument("--fitted", type=Path, help="what the method's fit has written")
    parser.add_argument("--mirror", type=Path, help="folder whose pyiqa/<file> is taken in place of the network")
    parser.add_argument("--found", nargs="*", default=[], help="weights that the workflow saw in the mirror; recorded")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="cores to use")
    parser.add_argument("--shard", type=shards.number, default=(1, 1), metavar="K/N", help="score every Nth batch only")
    parser.add_argument("--shards", type=Path, nargs="*", default=[], help="merge what all N such jobs have written")
    parser.add_argument("--out", type=Path, required=True, help="scores/<method>/<dataset>.csv")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that parts are written
    prepare()  # one thread: cores go to worker processes, and a pool of threads would not survive the fork
    torch.backends.cudnn.benchmark = False
    start = time.perf_counter()
    try:
        card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        index = read_index(args.index, sizes=True)
        device = pick_device("cpu" if card.input.device == "cpu" else args.device)
        checkpoint = args.checkpoint and args.checkpoint / WEIGHTS
        inputs = [args.index, *filter(None, (checkpoint, args.fitted))]
        parts = Parts(args.out.with_name(f".{args.out.stem}.{key(card, dataset, inputs)}.parts"))
        resumed = len(parts.done())
        if args.shards:
            out = shards.merge(args.shards, index)
        else:
            given = {"fitted": args.fitted, "labels": oriented(index, dataset) if card.labels else None}
            method = create(card, args.checkpoint, args.mirror, **given)
            workers = args.threads if args.threads > 1 else 0
            out = run(method, card, dataset, index, args.raw, device, workers, parts, args.shard)
    except CardError as e:
        sys.exit(f"error: {e}")
    seconds = time.perf_counter() - start
    cost = {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": args.threads,
        "seconds": round(seconds, 3),
        "resumed": resumed,
        "images_per_second": round((len(out) - resumed) / seconds, 3),
    }
    with atomic(args.out) as temporary:
        out.to_csv(temporary, **(shards.FORM if args.shard != (1, 1) else {"index": False}))
    provenance.record(
        args.out,
        method=card.name,
        card=card.score_digest(),
        dataset=dataset.name,
        index=sha256(args.index),
        checkpoint=sha256(checkpoint) if checkpoint else None,
        failed=int((out["error"] != "").sum()),
        complete=not out["error"].str.startswith("not run: ").all(),
        found=args.found,
        **(shards.cost(args.shards) if args.shards else cost),
    )
    parts.clear()


if __name__ == "__main__":
    command(main)
