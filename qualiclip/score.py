"""Score image files: group them by size, score them in batches, return one result per file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from qualiclip.images import SUFFIXES, batches_by_size, image_size, open_rgb
from qualiclip.model import QualiCLIP
from qualiclip.tensors import to_tensor

MIN_SIDE = 64
# Pixels of a batch: a CPU is fastest if the activations fit into its cache, a GPU if there are enough to keep it busy.
BATCH_PIXELS = {"cpu": 400_000, "cuda": 12_000_000}


@dataclass(frozen=True)
class Row:
    """The result of one file: a score in [0, 1], higher is better, or None and the reason in `error`."""

    image: Path
    score: float | None
    error: str = ""


def find_images(patterns: list[str]) -> list[Path]:
    """Files, folders (searched recursively) and globs -> image files in the order of the patterns, each one once.

    Raises FileNotFoundError for a pattern without a match, ValueError for a folder without images.
    """
    files: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise ValueError(f"{path}: no images in this folder ({', '.join(sorted(SUFFIXES))})")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            anchor = Path(path.anchor or ".")
            matches = sorted(anchor.glob(str(path.relative_to(anchor) if path.anchor else path)))
            if not matches:
                raise FileNotFoundError(f"{pattern}: no such file, folder or match")
            files += matches
    return list(dict.fromkeys(files))


def _problem(size: tuple[int, int]) -> str:
    """Why an image of this width and height cannot be scored; empty if it can be."""
    return "" if min(size) >= MIN_SIDE else f"{size[0]}x{size[1]} px is under {MIN_SIDE} px"


def score_files(model: QualiCLIP, files: list[Path], device: str = "cpu") -> Iterator[Row]:
    """Score all files on `device` ("cpu" or "cuda"): one row per file, in no particular order."""
    # sizes, from the headers alone; a file that cannot be scored gives its row at once
    good, sizes = [], []
    for file in files:
        try:
            size = image_size(file)
        except ValueError as e:
            yield Row(file, None, f"cannot be read: {e}")
            continue
        if problem := _problem(size):
            yield Row(file, None, problem)
        else:
            good.append(file)
            sizes.append(size)
    # batches of images of one size
    for batch in batches_by_size(sizes, lambda size: max(1, BATCH_PIXELS[device] // (size[0] * size[1]))):
        yield from _score_batch(model, [good[i] for i in batch], device)


def _score_batch(model: QualiCLIP, files: list[Path], device: str) -> Iterator[Row]:
    """Decode and score files whose headers state the same size: one row per file."""
    decoded, images = [], []
    for file in files:
        try:
            images.append(to_tensor(open_rgb(file)))
            decoded.append(file)
        except (OSError, ValueError, Image.DecompressionBombError) as e:
            yield Row(file, None, f"cannot be read: {e}")
    # a header may disagree with the pixels, and only images of one size can be stacked
    for same in batches_by_size([tuple(x.shape[1:]) for x in images], lambda _: len(images)):
        batch = torch.stack([images[i] for i in same]).to(device).float() / 255
        for i, score in zip(same, model.score(batch).tolist(), strict=True):
            yield Row(decoded[i], score)


def score(model: QualiCLIP, files: list[Path], device: str = "cpu", progress: bool = True) -> list[Row]:
    """Score files on `device` ("cpu" or "cuda"): one row per file, in their order. progress: show a progress bar."""
    bar = tqdm(score_files(model, files, device), total=len(files), unit="image", disable=not progress)
    rows = {row.image: row for row in bar}
    return [rows[file] for file in files]
