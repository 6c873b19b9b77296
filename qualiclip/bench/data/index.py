"""Makes the index of a dataset: one row per image to be scored, checked against the card.

`python -m qualiclip.bench.data.index datasets/agiqa3k.yaml --raw datasets/raw --out index.csv`
Columns: image (path under raw/<dataset>/), width, height; for a folder of one's own also digest (the first 16 digits of
the SHA-256 of the file, so that what depends on it is made again after a change); for a set with labels also mos
[, std, ref, group, type], split_00 .. split_09 or split_official, and trained_<name> for each training list of the
card. Of a set that is not here, the reason stands in place of the index.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from qualiclip.bench import job
from qualiclip.bench.absence import leave_reason
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard, Images
from qualiclip.bench.data.fetch import MANIFEST, not_here
from qualiclip.bench.data.labels import MAX_NAMES, DatasetError, listed, read_labels, without_duplicates
from qualiclip.bench.data.names import AmbiguousName, match
from qualiclip.bench.data.splits import attach, in_list
from qualiclip.bench.formats import TRAINED, write_csv
from qualiclip.folders import walk
from qualiclip.images import UnreadableImage, image_size
from qualiclip.io import sha256


def root_of(card: DatasetCard, raw: Path) -> Path:
    """The folder of the images under raw, where the card's paths begin. Raises DatasetError for none, or several."""
    named = raw / card.images.root
    folders = [named] if named.is_dir() else [p for p in raw.glob(card.images.root) if p.is_dir()]
    if len(folders) != 1:
        problem = f"there are {listed([str(f) for f in sorted(folders)])}" if folders else "there is none"
        raise DatasetError(f"{card.name}: one folder {named} expected, {problem}")
    return folders[0]


def image_files(card: DatasetCard, root: Path) -> list[str]:
    """All image files under `root`, relative to it, sorted. Raises DatasetError for an unreadable subfolder."""
    found = walk(root)
    if found.unreadable:
        raise DatasetError(f"{card.name}: {listed(found.unreadable)} under {root} cannot be listed; make it readable")
    if found.left_out:
        print(f"{card.name}: left out of {root}: {found.note()}")
    return found.images


def locate(names: pd.Series, files: list[str], root: Path, dataset: str, allow_missing: bool) -> pd.Series:
    """Names in the labels -> paths under `root` of the images that they mean, with the same row numbers.

    files: the images under `root`. Missing images are left out where allow_missing. Raises DatasetError for missing
    images otherwise, where all images are missing, and for a name that could mean several files.
    """
    try:
        paths = pd.Series(match(names.tolist(), files), names.index, dtype=object)
    except AmbiguousName as e:
        raise DatasetError(f"{dataset}: {e} under {root}") from e
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
    raw = card.content(raw)
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


def unlabelled_images(card: DatasetCard, files: list[str], root: Path, allow_missing: bool) -> pd.DataFrame:
    """The images of a set without labels. Raises DatasetError for fewer than the card states; more are no error.

    files: the images under `root`. allow_missing: there may be fewer, but at least one.
    """
    everywhere = card.images.pattern == Images().pattern
    matches = set() if everywhere else {p.relative_to(root).as_posix() for p in root.glob(card.images.pattern)}
    table = pd.DataFrame({"image": [f for f in files if everywhere or f in matches]}, dtype=str)
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
    root = root_of(card, card.content(raw))
    files = image_files(card, root)
    if card.labels:
        table = labelled(card, raw)
        names = locate(table["image"], files, root, card.name, allow_missing)
    else:
        table = unlabelled_images(card, files, root, allow_missing)
        names = table["image"]
    if names.duplicated().any():
        raise DatasetError(f"{card.name}: two labels mean the file {listed(names[names.duplicated()].tolist())}")
    # paths under raw/<dataset>/, and sizes
    inside = PurePosixPath(root.relative_to(raw))
    table = table.loc[names.index].assign(image=[str(inside / f) for f in names]).reset_index(drop=True)
    facts = pd.DataFrame(facts_of([raw / f for f in table["image"]], card), table.index)
    return pd.concat([table[["image"]], facts, table.drop(columns="image")], axis=1)


def facts_of(paths: list[Path], card: DatasetCard) -> list[dict[str, Any]]:
    """width and height of every image, by its header; in a user's folder, whose files may change, also its digest.

    Raises DatasetError that counts the images which cannot be read.
    """

    def read(path: Path) -> dict[str, Any] | str:
        try:
            facts: dict[str, Any] = dict(zip(("width", "height"), image_size(path), strict=True))
        except UnreadableImage as e:
            return str(e)
        return facts | ({"digest": sha256(path)[:16]} if card.folder else {})

    with ThreadPoolExecutor() as pool:
        facts = list(tqdm(pool.map(read, paths), total=len(paths), desc=f"index {card.name}", unit="image"))
    bad = [f for f in facts if isinstance(f, str)]
    if bad:
        first = "\n".join(bad[:MAX_NAMES]) + ("\n..." if len(bad) > MAX_NAMES else "")
        raise DatasetError(
            f"{card.name}: {len(bad)} of {len(paths)} images cannot be read; replace them, "
            f"or take them and their labels out of the set:\n{first}"
        )
    return [f for f in facts if not isinstance(f, str)]


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
