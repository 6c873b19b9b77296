"""Score image files: group them by size, score them in batches, return one result per file."""

from __future__ import annotations

import glob
import logging
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from qualiclip import folders, memory
from qualiclip.images import DECODING, SUFFIXES, UnreadableImage, batches_by_size, image_size, open_rgb
from qualiclip.model import QualiCLIP
from qualiclip.tensors import to_tensor

MIN_SIDE = 64
# Pixels of a batch: a CPU is fastest if the activations fit into its cache, a GPU if there are enough to keep it busy.
BATCH_PIXELS = {"cpu": 400_000, "cuda": 12_000_000}
DECODERS = 8  # threads that decode images, at most
AHEAD = 2 << 30  # bytes that images may take, once they are scored, which are decoded ahead of the model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """The result of one file: a score in [0, 1], higher is better, or None and the reason in `error`."""

    image: Path
    score: float | None
    error: str = ""


def find_images(patterns: list[str]) -> list[Path]:
    """Files, folders (searched recursively) and globs -> image files in the order of the patterns, each one once.

    A folder is searched as `folders.walk` describes; what it leaves out is logged. A subfolder that cannot be listed
    is in the result, too, so that it has a row. A file that is named, or matched by a glob, is taken as it is.
    Raises FileNotFoundError for patterns without a match, ValueError for an empty one and for a folder without images.
    """
    files: list[Path] = []
    absent = []
    for pattern in patterns:
        if not pattern:
            raise ValueError("an empty path; is a variable of your shell not set?")
        # brackets in the name of a folder are meant as they are where they match nothing as a glob
        matches = [pattern] if os.path.lexists(pattern) else _matches(pattern) or _matches(pattern.replace("[", "[[]"))
        absent += [] if matches else [pattern]
        for path in map(Path, matches):
            files += _inside(path) if os.path.isdir(path) else [path]
    if absent:
        raise FileNotFoundError("\n".join(f"{a}: no such file, folder or match" for a in absent))
    return list(dict.fromkeys(files))


def _matches(pattern: str) -> list[str]:
    """What a glob matches, sorted; `**` means any folders. Hidden files are not matched, as in a shell."""
    return sorted(glob.glob(pattern, recursive=True))


def _inside(folder: Path) -> list[Path]:
    """The images of a folder, and its subfolders that cannot be listed. Raises ValueError for none of both."""
    found = folders.walk(folder)
    if found.left_out:
        log.warning("left out of %s: %s", folder, found.note())
    inside = [folder / f for f in sorted(found.images + found.unreadable)]
    if not inside:
        raise ValueError(f"{folder}: no images in this folder ({', '.join(sorted(SUFFIXES))})")
    return inside


def _problem(model: QualiCLIP, size: tuple[int, int], device: str) -> str:
    """Why an image of this width and height cannot be scored; empty if it can be."""
    if min(size) < MIN_SIDE:
        return f"{size[0]}x{size[1]} px is under {MIN_SIDE} px"
    # the system would end the process where it lacks memory; a GPU raises an error, which becomes a row
    need, free = size[0] * size[1] * model.bytes_per_pixel, memory.available()
    return memory.shortage(size, need, free) if device == "cpu" and need > free else ""


def score_files(model: QualiCLIP, files: list[Path], device: str = "cpu") -> Iterator[Row]:
    """Score all files on `device` ("cpu" or "cuda"): one row per file, in no particular order."""
    # sizes, from the headers alone; a file that cannot be scored gives its row at once
    good, sizes = [], []
    for file in files:
        try:
            size = image_size(file)
        except UnreadableImage as e:
            yield Row(file, None, f"cannot be read: {e.reason}")
            continue
        if problem := _problem(model, size, device):
            yield Row(file, None, problem)
        else:
            good.append(file)
            sizes.append(size)
    # batches of images of one size, decoded while the model scores those before
    batches = batches_by_size(sizes, lambda size: max(1, BATCH_PIXELS[device] // (size[0] * size[1])))
    per_pixel = model.bytes_per_pixel if device == "cpu" else DECODING
    needs = [sum(sizes[i][0] * sizes[i][1] for i in batch) * per_pixel for batch in batches]
    for decoded in _decoded([[good[i] for i in batch] for batch in batches], needs):
        yield from _score_batch(model, decoded, device)


def _decode(file: Path) -> Tensor | str:
    """The pixels (3, H, W) uint8 of an image, or why it cannot be read."""
    try:
        return to_tensor(open_rgb(file))
    except UnreadableImage as e:
        return f"cannot be read: {e.reason}"


def _decoded(batches: list[list[Path]], needs: list[int]) -> Iterator[dict[Path, Tensor | str]]:
    """What `_decode` gives for the files of each batch, in order; threads decode the next batches meanwhile.

    needs: bytes that each batch takes. Those ahead take AHEAD at most, and a quarter of the free memory. A batch that
    takes more is decoded when all before it are scored, so that it has the memory to itself.
    """
    limit, ahead = min(AHEAD, memory.available() / 4), deque[tuple[dict[Path, Future], int]]()

    def first() -> dict[Path, Tensor | str]:
        return {file: future.result() for file, future in ahead.popleft()[0].items()}

    with ThreadPoolExecutor(min(DECODERS, torch.get_num_threads())) as pool:
        for files, need in zip(batches, needs, strict=True):
            while ahead and sum(n for _, n in ahead) + need > limit:
                yield first()
            ahead.append(({file: pool.submit(_decode, file) for file in files}, need))
        while ahead:
            yield first()


def _score_batch(model: QualiCLIP, decoded: dict[Path, Tensor | str], device: str) -> Iterator[Row]:
    """Score the files of a batch, of which headers state the same size: one row per file."""
    yield from (Row(file, None, x) for file, x in decoded.items() if isinstance(x, str))
    images = {file: x for file, x in decoded.items() if isinstance(x, Tensor)}
    # a header may disagree with the pixels, and only images of one size can be stacked
    files = list(images)
    for same in batches_by_size([tuple(x.shape[1:]) for x in images.values()], lambda _: len(files)):
        yield from _score_stack(model, [files[i] for i in same], [images[files[i]] for i in same], device)


def _score_stack(model: QualiCLIP, files: list[Path], images: list[Tensor], device: str) -> Iterator[Row]:
    """Score decoded images (3, H, W) of one size: one row per file. What fails together is tried one by one."""
    height, width = images[0].shape[1:]
    if problem := _problem(model, (width, height), device):
        yield from (Row(file, None, problem) for file in files)
        return
    try:
        scores = model.score(torch.stack(images).to(device).float() / 255).tolist()
    except RuntimeError as e:  # not enough memory, on a GPU
        scores, problem = [], f"cannot be scored: {str(e).splitlines()[0]}"
    if scores:
        yield from (Row(file, s) for file, s in zip(files, scores, strict=True))
    elif len(files) == 1:
        yield Row(files[0], None, problem)
    else:
        for file, image in zip(files, images, strict=True):
            yield from _score_stack(model, [file], [image], device)


def score(model: QualiCLIP, files: list[Path], device: str = "cpu", progress: bool = True) -> list[Row]:
    """Score files on `device` ("cpu" or "cuda"): one row per file, in their order. progress: show a progress bar."""
    bar = tqdm(score_files(model, files, device), total=len(files), unit="image", disable=not progress)
    rows = {row.image: row for row in bar}
    return [rows[file] for file in files]
