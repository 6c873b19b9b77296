"""Score image files: group by size, batch, one row a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from qualiclip.images import SUFFIXES, open_rgb
from qualiclip.model import QualiCLIP
from qualiclip.tensors import to_tensor

MIN_SIDE = 64
# Pixels scored at once: a CPU is fastest where activations stay in its cache, a GPU where they fill it.
BATCH_PIXELS = {"cpu": 400_000, "cuda": 12_000_000}


@dataclass(frozen=True)
class Row:
    """One scored file: a score in [0, 1], higher is better, or the reason why there is none."""

    image: Path
    score: float | None
    error: str = ""


def find_images(patterns: list[str]) -> list[Path]:
    """Files, folders (searched through) and globs -> image files, in order, none twice.

    Raises FileNotFoundError for what matches no file, ValueError for a folder without images.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise ValueError(f"{path}: no images in this folder ({', '.join(sorted(SUFFIXES))})")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            anchor = Path(path.anchor or ".")
            matches = sorted(anchor.glob(str(path.relative_to(anchor) if path.anchor else path)))
            if not matches:
                raise FileNotFoundError(f"{pattern}: no such file, folder or match")
            found += matches
    return list(dict.fromkeys(found))


def _size(path: Path) -> tuple[int, int] | str:
    """Width and height by the header, or the reason why the file cannot be scored."""
    try:
        with Image.open(path) as image:
            size = image.size
    except (OSError, ValueError, Image.DecompressionBombError) as e:
        return f"cannot be read: {e}"
    return size if min(size) >= MIN_SIDE else f"{size[0]}x{size[1]} px is under {MIN_SIDE} px"


def score_files(model: QualiCLIP, files: list[Path], device: str = "cpu") -> Iterator[Row]:
    """Rows of all files, in no particular order; each file is read once more than its header."""
    groups: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for file in files:
        size = _size(file)
        if isinstance(size, str):
            yield Row(file, None, size)
        else:
            groups[size].append(file)
    for (width, height), members in sorted(groups.items()):
        step = max(1, BATCH_PIXELS[device] // (width * height))
        for start in range(0, len(members), step):
            yield from _score_batch(model, members[start : start + step], device)


def _score_batch(model: QualiCLIP, files: list[Path], device: str) -> Iterator[Row]:
    read, images = [], []
    for file in files:
        try:
            images.append(to_tensor(open_rgb(file)))
            read.append(file)
        except (OSError, ValueError, Image.DecompressionBombError) as e:
            yield Row(file, None, f"cannot be read: {e}")
    # headers may disagree with EXIF rotation: what is stacked must really be of one size
    by_shape: dict[torch.Size, list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        by_shape[image.shape].append(i)
    for members in by_shape.values():
        batch = torch.stack([images[i] for i in members]).to(device).float() / 255
        for i, score in zip(members, model.score(batch).tolist(), strict=True):
            yield Row(read[i], score)


def score(model: QualiCLIP, files: list[Path], device: str = "cpu", progress: bool = True) -> list[Row]:
    """Rows in the order of `files`, with a progress bar."""
    bar = tqdm(score_files(model, files, device), total=len(files), unit="image", disable=not progress)
    rows = {row.image: row for row in bar}
    return [rows[file] for file in files]
