"""Decode images, group them by size, score them in batches: one row per image, whatever happens.

Images are read in worker processes. On a CPU the workers also score, each with one thread: whole images side by side
use the cores better than the many small operations of one image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import InputPolicy
from qualiclip.bench.methods.contract import Batch, Method
from qualiclip.bench.score.partial import Partial, Row
from qualiclip.images import UnreadableImage, batches_by_size, open_rgb, resized
from qualiclip.memory import available, keep_memory, shortage
from qualiclip.tensors import to_tensor

if TYPE_CHECKING:
    import pandas as pd

BYTES_PER_PIXEL = 24  # memory that any method takes at least: the pixels as float32, and one copy
PRECISION = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def size_batches(index: pd.DataFrame, size: int, done: frozenset[int] | set[int] = frozenset()) -> list[list[int]]:
    """Rows in batches of at most `size` images of one width and height, in index order otherwise.

    Batches whose rows are all `done` are left out; the others are the same with and without `done`, so that a
    resumed job scores an image together with the same others.
    """
    whole = batches_by_size(zip(index["width"], index["height"], strict=True), lambda _: size)
    return [rows for rows in whole if not done.issuperset(rows)]


class DecodedImages(Dataset):
    """Row -> (row, pixels uint8 (3, H, W), "") or (row, None, reason)."""

    def __init__(self, files: list[Path], dataset: DatasetCard, policy: InputPolicy):
        self.files, self.dataset, self.policy = files, dataset, policy

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[int, Tensor | None, str]:
        try:
            image = open_rgb(self.files[row])
            if self.dataset.resize:
                image = resized(image, self.dataset.resize.shorter_side, self.dataset.resize.interpolation)
            return row, to_tensor(resized(image, self.policy.shorter_side)), ""
        except UnreadableImage as e:
            return row, None, f"cannot be read: {e.reason}"


def _out_of_memory(e: BaseException) -> bool:
    """torch raises its own class on a GPU; on a CPU a RuntimeError that only its text identifies."""
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
        # an index that is older than its images may state wrong sizes: such images go one by one
        groups = [good] if len(sizes) == 1 else [[g] for g in good]
        return bad + [row for group in groups for row in self._rows([r for r, _ in group], [x for _, x in group])]

    def _rows(self, rows: list[int], images: list[Tensor]) -> list[Row]:
        """Batches of at most `limit` images."""
        step = min(self.limit, len(rows)) or 1
        return [r for i in range(0, len(rows), step) for r in self._try(rows[i : i + step], images[i : i + step])]

    def _try(self, rows: list[int], images: list[Tensor]) -> list[Row]:
        """One batch; halved where memory does not suffice, one by one where it fails otherwise."""
        # the system would end the process where a CPU lacks memory
        height, width = images[0].shape[1:]
        need = len(rows) * height * width * getattr(self.method, "bytes_per_pixel", BYTES_PER_PIXEL)
        if self.device == "cpu" and need > (free := available()):
            if len(rows) == 1:
                return [Row(rows[0], None, shortage((width, height), need, free))]
            return [r for i in range(len(rows)) for r in self._try(rows[i : i + 1], images[i : i + 1])]
        # score the batch as a whole
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
        # out of memory: smaller batches from now on (outside of the handler, whose traceback keeps tensors alive)
        if memory:
            self.limit = math.ceil(len(rows) / 2)
            if self.device == "cuda":
                torch.cuda.empty_cache()
            return self._rows(rows, images)
        # any other error: find the image that causes it
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
        """What the row of each image holds."""
        return self.method.score(batch).double().flatten().tolist()


def prepare_process(_: int = 0) -> None:
    """Prepare a process that scores on a CPU: one thread, and freed memory stays with the process."""
    torch.set_num_threads(1)
    keep_memory()


def score_batches(scorer: Scorer, dataset: DatasetCard, batches: list[list[int]], workers: int) -> Iterator[list[Row]]:
    """Rows of the batches, as they are finished. workers: processes that read images; 0 works in this one."""
    in_worker = scorer.device == "cpu" and workers > 0  # score where the image is read
    loader = DataLoader(
        DecodedImages(scorer.files, dataset, scorer.policy),
        batch_sampler=batches,
        collate_fn=scorer if in_worker else list,
        num_workers=workers,
        worker_init_fn=prepare_process,
        multiprocessing_context="fork" if workers else None,  # workers share the loaded weights
    )
    for items in loader:
        yield items if in_worker else scorer(items)


def score_all(
    scorer: Scorer, dataset: DatasetCard, batches: list[list[int]], partial: Partial, workers: int, title: str, n: int
) -> None:
    """Score the batches into `partial`, with a progress bar over n images; what is finished survives a kill."""
    with tqdm(total=n, initial=len(partial.done()), desc=title, unit="image") as bar:
        try:
            for rows in score_batches(scorer, dataset, batches, workers):
                partial.add(rows)
                bar.update(len(rows))
        finally:
            partial.write()
