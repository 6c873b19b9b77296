"""From a raw folder to the index: one row per scored image, checked.

`python -m qualiclip.bench.data.index datasets/agiqa3k.yaml --raw datasets/raw --out index.csv`
Columns: image (relative to raw/<dataset>/), width, height, then mos [std, ref, group] for a labelled
set, then split_00 .. split_09 or split_official.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pandas as pd
from tqdm import tqdm

from qualiclip.bench import job
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.data.labels import DatasetError, read_labels, some, without_twins
from qualiclip.bench.data.splits import attach
from qualiclip.bench.formats import write_csv
from qualiclip.images import SUFFIXES, image_size


def root_of(card: DatasetCard, raw: Path) -> Path:
    """The folder of the images. Raises DatasetError when there is none, or more than one."""
    folders = [p for p in raw.glob(card.images.root) if p.is_dir()] if card.images.root else [raw]
    if len(folders) != 1:
        found = f"there are {some([str(f) for f in sorted(folders)])}" if folders else "there is none"
        raise DatasetError(f"{card.name}: one folder {raw / card.images.root} expected, {found}")
    return folders[0]


def image_files(root: Path) -> list[str]:
    """All image files under `root`, relative to it, sorted. Linked folders are entered, each one once."""
    found, entered = [], set()
    for folder, inner, files in os.walk(root, followlinks=True):
        here = os.path.realpath(folder)
        if here in entered:
            inner.clear()
            continue
        entered.add(here)
        inner[:] = [d for d in inner if d != "__MACOSX"]
        relative = PurePosixPath(os.path.relpath(folder, root))
        found += [str(relative / f) for f in files if not f.startswith(".") and Path(f).suffix.lower() in SUFFIXES]
    return sorted(found)


def path_ending(name: str, depth: int) -> str:
    """The last `depth` parts of a path in lower case: what a name in a label or score file is compared by."""
    return "/".join(name.lower().split("/")[-depth:])


def locate(names: pd.Series, root: Path, dataset: str, allow_missing: bool) -> pd.Series:
    """Names as labelled -> names under `root`, missing ones dropped or refused.

    A labelled name is the end of a path: case may differ, and folders may stand before it that the label
    does not name. Raises DatasetError for missing images, and for a name that several files could mean.
    """
    files = image_files(root)
    depths = set(names.str.count("/") + 1)
    ends: dict[str, list[str]] = defaultdict(list)
    for depth in depths:
        for file in files:
            if file.count("/") + 1 >= depth:
                ends[f"{depth}:{path_ending(file, depth)}"].append(file)
    exact = set(files)

    def find(name: str) -> str | None:
        candidates = ends.get(f"{name.count('/') + 1}:{name.lower()}", [])
        best = [c for c in candidates if c.lower() == name.lower()] or candidates
        if len(best) > 1 and name not in exact:
            raise DatasetError(f"{dataset}: {name} could mean {some(best)} under {root}")
        return name if name in exact else (best[0] if best else None)

    found = names.map(find)
    missing = names[found.isna()].tolist()
    if missing and not allow_missing:
        raise DatasetError(
            f"{dataset}: {len(missing)} of {len(names)} images are missing under {root} ({some(missing)}); "
            "complete the set, or go on without them by --config allow_missing=true"
        )
    if len(missing) == len(names):
        raise DatasetError(f"{dataset}: none of its {len(names)} images is under {root}")
    return found.dropna()


def labelled(card: DatasetCard, raw: Path) -> pd.DataFrame:
    """The labels of a set with its splits, checked against the card, in the order of the release.

    Needs no images. Raises DatasetError or SplitError.
    """
    table = read_labels(card, raw)
    if card.splits:
        table = attach(table, card.splits, raw)
    table = without_twins(table, card)
    low, high = card.labels.range
    outside = table[~table["mos"].between(*(float("inf") * s if v is None else v for v, s in ((low, -1), (high, 1))))]
    if len(outside):
        rows = [f"{r.image}: {r.mos}" for r in outside.itertuples()]
        raise DatasetError(f"{card.name}: {len(outside)} labels outside [{low}, {high}]: {some(rows)}")
    if card.images.count and len(table) != card.images.count:
        raise DatasetError(f"{card.name}: {len(table)} labelled images, the card says {card.images.count}")
    return table


def unlabelled_images(card: DatasetCard, root: Path, allow_missing: bool) -> pd.DataFrame:
    """The images of a set without labels. Raises DatasetError when they are not as many as the card says."""
    wanted = {str(p.relative_to(root)) for p in root.glob(card.images.pattern)}
    table = without_twins(pd.DataFrame({"image": [f for f in image_files(root) if f in wanted]}, dtype=str), card)
    count = card.images.count or len(table)
    if not len(table) or len(table) > count or (len(table) < count and not allow_missing):
        raise DatasetError(
            f"{card.name}: {len(table)} images under {root}, the card says {count}; "
            "complete the set, or go on with fewer by --config allow_missing=true"
        )
    return table


def build(card: DatasetCard, raw: Path, allow_missing: bool = False) -> pd.DataFrame:
    """The checked index of one dataset. Raises DatasetError, or ValueError for an image that cannot be read."""
    root = root_of(card, raw)
    if card.labels:
        table = labelled(card, raw)
        names = locate(table["image"], root, card.name, allow_missing)
    else:
        table = unlabelled_images(card, root, allow_missing)
        names = table["image"]
    if names.duplicated().any():
        raise DatasetError(f"{card.name}: two labels mean the file {some(names[names.duplicated()].tolist())}")
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
    try:
        table = labelled(card, raw) if args.labels_only else build(card, raw, args.allow_missing)
    except ValueError as e:
        sys.exit(f"error: {e}")
    missing = (card.images.count or len(table)) - len(table)
    print(f"{card.name}: {len(table)} images indexed, {missing} missing")
    write_csv(table, args.out)


if __name__ == "__main__":
    job.run(main)
