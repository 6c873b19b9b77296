"""Makes the index of a dataset: one row per image to be scored, checked against the card.

`python -m qualiclip.bench.data.index datasets/agiqa3k.yaml --raw datasets/raw --out index.csv`
Columns: image (path under raw/<dataset>/), width, height; for a set with labels also mos [, std, ref, group],
split_00 .. split_09 or split_official, and trained_<name> for each training list of the card. Of a set that
is not here, the reason stands in place of the index.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from tqdm import tqdm

from qualiclip.bench import job
from qualiclip.bench.absence import leave_reason
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.data.fetch import MANIFEST, not_here
from qualiclip.bench.data.labels import DatasetError, listed, read_labels, without_duplicates
from qualiclip.bench.data.splits import attach, in_list
from qualiclip.bench.formats import TRAINED, write_csv
from qualiclip.images import SUFFIXES, image_size


def root_of(card: DatasetCard, raw: Path) -> Path:
    """The folder of the images under raw = raw/<dataset>/. Raises DatasetError for none, or more than one."""
    folders = [p for p in raw.glob(card.images.root) if p.is_dir()] if card.images.root else [raw]
    if len(folders) != 1:
        problem = f"there are {listed([str(f) for f in sorted(folders)])}" if folders else "there is none"
        raise DatasetError(f"{card.name}: one folder {raw / card.images.root} expected, {problem}")
    return folders[0]


def image_files(root: Path) -> list[str]:
    """All image files under `root`, relative to it, sorted. Links to folders are followed, each folder is read once."""
    images, visited = [], set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = [d for d in subfolders if d != "__MACOSX"]
        relative = PurePosixPath(os.path.relpath(folder, root))
        images += [str(relative / f) for f in files if not f.startswith(".") and Path(f).suffix.lower() in SUFFIXES]
    return sorted(images)


def path_ending(name: str, depth: int) -> str:
    """The last `depth` parts of a path in lower case. Names in label and score files are compared by it."""
    return "/".join(name.lower().split("/")[-depth:])


def locate(names: pd.Series, root: Path, dataset: str, allow_missing: bool) -> pd.Series:
    """Names in the labels -> paths under `root` of the images that they mean, with the same row numbers.

    A name matches the end of a path: case may differ, and the path may have more folders in front. Missing images are
    left out where allow_missing. Raises DatasetError for missing images otherwise, where all images are missing, and
    for a name that could mean several files.
    """
    # all paths by their ends
    files = image_files(root)
    ends: dict[str, list[str]] = defaultdict(list)
    for depth in set(names.str.count("/") + 1):
        for file in files:
            if file.count("/") + 1 >= depth:
                ends[f"{depth}:{path_ending(file, depth)}"].append(file)
    exact = set(files)

    # the exact path is best, then the same path in another case, then a longer one
    def find(name: str) -> str | None:
        candidates = ends.get(f"{name.count('/') + 1}:{name.lower()}", [])
        best = [c for c in candidates if c.lower() == name.lower()] or candidates
        if len(best) > 1 and name not in exact:
            raise DatasetError(f"{dataset}: {name} could mean {listed(best)} under {root}")
        return name if name in exact else (best[0] if best else None)

    # paths, and what to do about missing images
    paths = names.map(find)
    missing = names[paths.isna()].tolist()
    if missing and not allow_missing:
        raise DatasetError(
            f"{dataset}: {len(missing)} of {len(names)} images are missing under {root} ({listed(missing)}); "
            "complete the set, or continue without them by --config allow_missing=true"
        )
    if len(missing) == len(names):
        raise DatasetError(f"{dataset}: none of its {len(names)} images is under {root}; complete the set")
    return paths.dropna()


def labelled(card: DatasetCard, raw: Path) -> pd.DataFrame:
    """The labels of a set with its splits, checked against the card, in the order of the release.

    It reads label and split files under raw = raw/<dataset>/, no images. Raises DatasetError or SplitError.
    """
    table = read_labels(card, raw)
    lists = {f"{TRAINED}{name}": in_list(table, name, images) for name, images in card.training_lists.items()}
    if card.splits:
        table = attach(table, card.splits, raw)
    table = table.assign(**lists)
    table = without_duplicates(table, card)
    low, high = card.labels.range
    lowest, highest = -np.inf if low is None else low, np.inf if high is None else high
    outside = table[~table["mos"].between(lowest, highest)]
    if len(outside):
        rows = [f"{r.image}: {r.mos}" for r in outside.itertuples()]
        raise DatasetError(f"{card.name}: {len(outside)} labels outside [{low}, {high}]: {listed(rows)}")
    if card.images.count and len(table) != card.images.count:
        raise DatasetError(f"{card.name}: {len(table)} labelled images, the card says {card.images.count}")
    return table


def unlabelled_images(card: DatasetCard, root: Path, allow_missing: bool) -> pd.DataFrame:
    """The images of a set without labels. Raises DatasetError for fewer than the card states; more are no error.

    allow_missing: there may be fewer, but at least one.
    """
    matches = {str(p.relative_to(root)) for p in root.glob(card.images.pattern)}
    table = pd.DataFrame({"image": [f for f in image_files(root) if f in matches]}, dtype=str)
    table = without_duplicates(table, card)
    count = card.images.count or len(table)
    if not len(table) or (len(table) < count and not allow_missing):
        raise DatasetError(
            f"{card.name}: {len(table)} images under {root}, the card says {count}; "
            "complete the set, or continue with fewer by --config allow_missing=true"
        )
    return table


def build(card: DatasetCard, raw: Path, allow_missing: bool = False) -> pd.DataFrame:
    """The checked index of one dataset. raw: raw/<dataset>/. allow_missing: leave out missing images.

    Raises DatasetError or SplitError, and ValueError for an image that cannot be read.
    """
    # labels, and the images that they mean
    root = root_of(card, raw)
    if card.labels:
        table = labelled(card, raw)
        names = locate(table["image"], root, card.name, allow_missing)
    else:
        table = unlabelled_images(card, root, allow_missing)
        names = table["image"]
    if names.duplicated().any():
        raise DatasetError(f"{card.name}: two labels mean the file {listed(names[names.duplicated()].tolist())}")
    # paths under raw/<dataset>/, and sizes
    inside = PurePosixPath(root.relative_to(raw))
    table = table.loc[names.index].assign(image=[str(inside / f) for f in names]).reset_index(drop=True)
    paths = [raw / f for f in table["image"]]
    with ThreadPoolExecutor() as pool:
        sizes = list(tqdm(pool.map(image_size, paths), total=len(paths), desc=f"index {card.name}", unit="image"))
    table.insert(1, "width", [w for w, _ in sizes])
    table.insert(2, "height", [h for _, h in sizes])
    return table


def main() -> None:
    parser = job.parser("Check a dataset and write its index.", "dataset", "--raw", "--out")
    parser.add_argument("--labels-only", action="store_true", help="no images: all labels, without width and height")
    parser.add_argument("--allow-missing", action="store_true", help="index the images that are there")
    args = parser.parse_args()
    card = read_card(DatasetCard, args.dataset)
    raw = args.raw / card.name
    if (raw / MANIFEST).is_file() and (reason := not_here(raw / MANIFEST)):
        leave_reason(args.out, reason)
        return
    try:
        table = labelled(card, raw) if args.labels_only else build(card, raw, args.allow_missing)
    except ValueError as e:
        sys.exit(f"error: {e}")
    missing = max(0, (card.images.count or 0) - len(table))
    print(f"{card.name}: {len(table)} images indexed, {missing} missing")
    write_csv(table, args.out)


if __name__ == "__main__":
    job.run(main)
