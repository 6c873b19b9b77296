"""Scores that somebody else computed, brought into the form of a score file.

`python -m qualiclip.bench.published baselines/gmc-qualiclip.yaml datasets/clive.yaml --index ... --out ...`
for a card with `scores:`. With `--from FILE` any CSV with an image and a score column is taken, as a rule of
one's own needs it. Images themselves are not read: an index of labels alone will do. With such an index, the rows of
a card without `scores:` say that it would have to see the images.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from qualiclip.bench import provenance
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard, MethodCard, PublishedScores
from qualiclip.bench.files import atomic, command, sha256
from qualiclip.bench.tabular import read_index

MOS_TOLERANCE = 1e-3


class PublishedError(ValueError):
    """Published scores that cannot be had, or do not fit the dataset; the message says how to mend it."""


def _read(store: PublishedScores, file: str, mirror: Path | None) -> pd.DataFrame:
    here = mirror / store.store / file if mirror else None
    source = here if here and here.is_file() else f"{store.url.rstrip('/')}/{file.replace('+', '%2B')}"
    try:
        return pd.read_csv(source)
    except OSError as e:
        place = here or f"DIR/{store.store}/{file} and give mirror=DIR"
        raise PublishedError(f"not run: {file} could not be fetched from {store.url}; put it at {place}") from e


def _column(table: pd.DataFrame, name: str | None, file: str) -> pd.Series:
    if name is None:
        return table.iloc[:, 0]
    if name not in table:
        raise PublishedError(f"{file}: no column {name!r}; it has {', '.join(map(repr, table.columns))}")
    return table[name]


def named_scores(store: PublishedScores, dataset: str, mirror: Path | None) -> pd.DataFrame:
    """image, score of one dataset. Raises PublishedError: not published, not to be had, rows that do not fit."""
    item = store.files.get(dataset)
    if item is None:
        raise PublishedError("not run: its scores of this dataset are not published")
    scores = _read(store, item.scores, mirror)
    names = _read(store, item.names, mirror) if item.names else scores
    if len(names) != len(scores):
        raise PublishedError(f"{item.scores}: {len(scores)} rows, {item.names} has {len(names)}")
    if store.mos:
        theirs = _column(scores, store.mos[0], item.scores).to_numpy(float)
        known = _column(names, store.mos[1], item.names or item.scores).to_numpy(float)
        wrong = np.flatnonzero(np.abs(theirs - known) > MOS_TOLERANCE)
        if len(wrong):
            raise PublishedError(f"{item.scores}: row {wrong[0]} has label {theirs[wrong[0]]}, not {known[wrong[0]]}")
    image = _column(names, store.image, item.names or item.scores).astype(str)
    return pd.DataFrame({"image": image, "score": _column(scores, store.score, item.scores)})


def _key(name: str, depth: int) -> str:
    return "/".join(PurePosixPath(name.lower()).parts[-depth:])


def match(index: pd.DataFrame, scores: pd.DataFrame, source: str) -> pd.DataFrame:
    """The score file of an index: image, score, error. Rows of `scores` may be more, and in any order.

    Names are the ends of the index's paths; case may differ. Raises PublishedError for a name that stands twice.
    """
    depth = int(scores["image"].str.count("/").max()) + 1 if len(scores) else 1
    known = pd.Series(
        pd.to_numeric(scores["score"], errors="coerce").to_numpy(), [_key(n, depth) for n in scores["image"]]
    )
    if known.index.has_duplicates:
        raise PublishedError(f"{source}: {known.index[known.index.duplicated()][0]} stands twice")
    found = known.reindex([_key(n, depth) for n in index["image"]]).to_numpy()
    error = np.where(np.isfinite(found), "", f"no score in {source}")
    return pd.DataFrame(
        {"image": index["image"], "score": np.where(np.isfinite(found), found, math.nan), "error": error}
    )


def build(card: MethodCard, dataset: str, index: pd.DataFrame, mirror: Path | None, file: Path | None) -> pd.DataFrame:
    """The score file of a `scores:` card, or of a CSV `file`. Raises PublishedError."""
    if isinstance(card.scores, PublishedScores) and file is None:
        return match(index, named_scores(card.scores, dataset, mirror), card.scores.files[dataset].scores)
    path = file or card.sibling(str(card.scores).format(dataset=dataset))
    if not path.is_file():
        raise PublishedError(f"not run: there is no {path}")
    table = pd.read_csv(path, dtype={"image": str})
    rows = {c: _column(table, c, str(path)) for c in ("image", "score")}
    return match(index, pd.DataFrame(rows), path.name)


def main() -> None:
    parser = argparse.ArgumentParser(description="Bring per-image scores from elsewhere into a score file.")
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml")
    parser.add_argument("--index", type=Path, required=True, help="the dataset's index")
    parser.add_argument("--from", dest="file", type=Path, help="a CSV with columns image, score")
    parser.add_argument("--mirror", type=Path, help="folder whose <store>/<file> is taken in place of the network")
    parser.add_argument("--found", nargs="*", default=[], help="files that the workflow saw in the mirror; recorded")
    parser.add_argument("--out", type=Path, required=True, help="scores/<method>/<dataset>.csv")
    args = parser.parse_args()
    start = time.perf_counter()
    index = read_index(args.index)
    try:
        card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        try:
            if not (card.scores or args.file):
                if "width" in index:
                    raise PublishedError(f"{args.method}: the card names no scores; give a file with --from")
                raise PublishedError(f"not run: the images of {dataset.title} are not here, only its labels")
            out = build(card, dataset.name, index, args.mirror, args.file)
        except PublishedError as e:
            if not str(e).startswith("not run: "):
                raise
            out = pd.DataFrame({"image": index["image"], "score": math.nan, "error": str(e)})
    except (CardError, PublishedError) as e:
        sys.exit(f"error: {e}")
    with atomic(args.out) as temporary:
        out.to_csv(temporary, index=False)
    provenance.record(
        args.out,
        method=card.name,
        card=card.score_digest(),
        dataset=dataset.name,
        index=sha256(args.index),
        seconds=round(time.perf_counter() - start, 3),
        failed=int((out["error"] != "").sum()),
        complete=not out["error"].str.startswith("not run: ").all(),
        found=args.found,
    )


if __name__ == "__main__":
    command(main)
