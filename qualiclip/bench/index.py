"""From a raw folder to the index: one row per scored image, checked.

`python -m qualiclip.bench.index datasets/agiqa3k.yaml --raw datasets/raw --out index.csv`
Columns: image (relative to raw/<dataset>/), width, height, then mos [std, ref, group] for a labelled
set, then split_00 .. split_09.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from qualiclip.bench.cards import CardError, DatasetCard, read_card
from qualiclip.bench.files import atomic
from qualiclip.bench.splits import attach
from qualiclip.images import SUFFIXES

FIRST = 5  # how many culprits a message names


class DatasetError(ValueError):
    """A dataset that is not as its card says; the message names files and numbers."""


def _some(names: list[str]) -> str:
    return ", ".join(names[:FIRST]) + (", ..." if len(names) > FIRST else "")


def read_labels(card: DatasetCard, raw: Path) -> pd.DataFrame:
    """The released label file -> image, mos [, std, ref, group], images as in the release."""
    labels = card.labels
    path = raw / labels.file
    if not path.is_file():
        raise DatasetError(f"{card.name}: label file {path} is missing")
    read = {"csv": pd.read_csv, "xlsx": pd.read_excel}[labels.format]
    table = read(path, dtype={labels.image: str})
    columns = {k: getattr(labels, k) for k in ("image", "mos", "std", "ref", "group") if getattr(labels, k)}
    absent = [c for c in columns.values() if c not in table]
    if absent:
        raise DatasetError(f"{path}: no column {_some(absent)}; it has {_some(list(table.columns))}")
    return table[list(columns.values())].set_axis(list(columns), axis=1)


def locate(names: pd.Series, root: Path, dataset: str, allow_missing: bool) -> pd.Series:
    """Names as labelled -> names as on disk (their case may differ), missing ones dropped or refused."""
    files = {
        str(p.relative_to(root)).lower(): str(p.relative_to(root))
        for p in root.rglob("*")
        if p.suffix.lower() in SUFFIXES
    }
    found = names.map(lambda n: files.get(n.lower()))
    missing = names[found.isna()].tolist()
    if missing and not allow_missing:
        raise DatasetError(
            f"{dataset}: {len(missing)} of {len(names)} images are missing under {root} ({_some(missing)}); "
            "complete the set, or go on without them by --config allow_missing=true"
        )
    return found.dropna()


def size(path: Path) -> tuple[int, int]:
    """Width and height by the header. Raises ValueError naming the file."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            return image.size[::-1] if turned else image.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as e:
        raise ValueError(f"{path}: not an image that can be read ({e})") from e


def build(card: DatasetCard, raw: Path, allow_missing: bool = False) -> pd.DataFrame:
    """The checked index of one dataset. Raises DatasetError."""
    root = raw / card.images.root
    if card.labels:
        table = read_labels(card, raw)
    else:
        found = sorted(p for p in root.glob(card.images.pattern) if p.suffix.lower() in SUFFIXES)
        table = pd.DataFrame({"image": [str(p.relative_to(root)) for p in found]})
    twice = table["image"][table["image"].str.lower().duplicated()].tolist()
    if twice:
        raise DatasetError(f"{card.name}: {len(twice)} images are named twice ({_some(twice)})")
    if len(table) != card.images.count and not (allow_missing and not card.labels):
        raise DatasetError(f"{card.name}: {len(table)} images, the card says {card.images.count}")
    found = locate(table["image"], root, card.name, allow_missing)
    table = table.loc[found.index].assign(image=[str(Path(card.images.root) / f) for f in found])
    if card.labels:
        low, high = card.labels.range
        outside = table[~table["mos"].between(low, high)]
        if len(outside):
            rows = [f"{r.image}: {r.mos}" for r in outside.head(FIRST).itertuples()]
            raise DatasetError(f"{card.name}: {len(outside)} labels outside [{low}, {high}]: {_some(rows)}")
    paths = [raw / f for f in table["image"]]
    with ThreadPoolExecutor() as pool:
        sizes = list(tqdm(pool.map(size, paths), total=len(paths), desc=f"index {card.name}", unit="image"))
    table.insert(1, "width", [w for w, _ in sizes])
    table.insert(2, "height", [h for _, h in sizes])
    table = table.reset_index(drop=True)
    return attach(table, card.splits) if card.labels and card.splits else table


def main() -> None:
    parser = argparse.ArgumentParser(description="Check a dataset and write its index.")
    parser.add_argument("card", type=Path, help="datasets/<name>.yaml")
    parser.add_argument("--raw", type=Path, required=True, help="raw root")
    parser.add_argument("--out", type=Path, required=True, help="index/<name>.csv")
    parser.add_argument("--allow-missing", action="store_true", help="index what is there")
    args = parser.parse_args()
    try:
        card = read_card(DatasetCard, args.card)
        table = build(card, args.raw / card.name, args.allow_missing)
    except (CardError, ValueError) as e:
        sys.exit(f"error: {e}")
    with atomic(args.out) as temporary:
        table.to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
