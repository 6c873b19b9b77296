"""Scores that somebody else computed, brought into the form of a score file.

`python -m qualiclip.bench.score.precomputed baselines/precomputed-qualiclip.yaml datasets/clive.yaml --index ...`
for a card with `scores:`. With `--from FILE` any CSV with the columns image and score is read, as a rule of your own
needs it. Images are not read: an index of labels alone is enough.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from qualiclip.bench import job
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard, PrecomputedScores
from qualiclip.bench.data.index import path_ending
from qualiclip.bench.formats import read_index, refusal, refused_scores, write_csv
from qualiclip.bench.methods.contract import NotRun

MOS_TOLERANCE = 1e-3


class PrecomputedError(ValueError):
    """Precomputed scores that do not fit the dataset. The message says how to mend it."""


def _read(store: PrecomputedScores, file: str, mirror: Path | None) -> pd.DataFrame:
    """One file of the store, from the mirror or the network. Raises NotRun."""
    local = mirror / store.store / file if mirror else None
    source = local if local and local.is_file() else f"{store.url.rstrip('/')}/{file.replace('+', '%2B')}"
    try:
        return pd.read_csv(source)
    except OSError as e:
        place = local or f"DIR/{store.store}/{file} and give mirror=DIR"
        raise NotRun(f"{file} could not be fetched from {store.url}; put it at {place}") from e


def _column(table: pd.DataFrame, name: str | None, file: str) -> pd.Series:
    """The column `name`, or the first one for None. Raises PrecomputedError."""
    if name is None:
        return table.iloc[:, 0]
    if name not in table:
        raise PrecomputedError(f"{file}: no column {name!r}; it has {', '.join(map(repr, table.columns))}")
    return table[name]


def named_scores(store: PrecomputedScores, dataset: str, mirror: Path | None) -> pd.DataFrame:
    """image, score of one dataset. Raises NotRun where they cannot be had, PrecomputedError where rows do not fit."""
    item = store.files.get(dataset)
    if item is None:
        raise NotRun("its scores of this dataset are not published")
    # the score file, and the file whose rows name the images
    scores = _read(store, item.scores, mirror)
    names = _read(store, item.names, mirror) if item.names else scores
    if len(names) != len(scores):
        raise PrecomputedError(f"{item.scores}: {len(scores)} rows, {item.names} has {len(names)}")
    # labels in both files must agree, row by row
    if store.mos:
        theirs = _column(scores, store.mos[0], item.scores).to_numpy(float)
        known = _column(names, store.mos[1], item.names or item.scores).to_numpy(float)
        wrong = np.flatnonzero(np.abs(theirs - known) > MOS_TOLERANCE)
        if len(wrong):
            raise PrecomputedError(f"{item.scores}: row {wrong[0]} has label {theirs[wrong[0]]}, not {known[wrong[0]]}")
    image = _column(names, store.image, item.names or item.scores).astype(str)
    return pd.DataFrame({"image": image, "score": _column(scores, store.score, item.scores)})


def match(index: pd.DataFrame, scores: pd.DataFrame, source: str) -> pd.DataFrame:
    """The score file of an index: image, score, error. `scores` may have more rows, in any order.

    Names are the ends of the index's paths; case may differ. Raises PrecomputedError for a name that occurs twice.
    """
    depth = int(scores["image"].str.count("/").max()) + 1 if len(scores) else 1
    numbers = pd.to_numeric(scores["score"], errors="coerce").to_numpy()
    by_name = pd.Series(numbers, [path_ending(n, depth) for n in scores["image"]])
    if by_name.index.has_duplicates:
        raise PrecomputedError(f"{source}: {by_name.index[by_name.index.duplicated()][0]} occurs twice")
    matched = by_name.reindex([path_ending(n, depth) for n in index["image"]]).to_numpy()
    error = np.where(np.isfinite(matched), "", f"no score in {source}")
    score = np.where(np.isfinite(matched), matched, math.nan)
    return pd.DataFrame({"image": index["image"], "score": score, "error": error})


def build(card: MethodCard, dataset: str, index: pd.DataFrame, mirror: Path | None, file: Path | None) -> pd.DataFrame:
    """The score file of a card with `scores:`, or of a CSV `file`. Raises PrecomputedError or NotRun."""
    if file is None and not card.scores:
        raise PrecomputedError(f"{card.path}: the card names no scores; give a file with --from")
    if isinstance(card.scores, PrecomputedScores) and file is None:
        return match(index, named_scores(card.scores, dataset, mirror), card.scores.files[dataset].scores)
    path = file or card.sibling(str(card.scores).format(dataset=dataset))
    if not path.is_file():
        raise NotRun(f"there is no {path}")
    table = pd.read_csv(path, dtype={"image": str})
    columns = {c: _column(table, c, str(path)) for c in ("image", "score")}
    return match(index, pd.DataFrame(columns), path.name)


def main() -> None:
    names = ("method", "dataset", "--index", "--mirror", "--mirrored", "--out")
    parser = job.parser("Bring per-image scores from elsewhere into a score file.", *names)
    parser.add_argument("--from", dest="file", type=Path, help="a CSV with columns image, score")
    args = parser.parse_args()
    start = time.perf_counter()
    if job.absent([args.index], args.out):
        return
    index = read_index(args.index)
    card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
    try:
        scores = build(card, dataset.name, index, args.mirror, args.file)
    except NotRun as e:
        scores = refused_scores(index, str(e))
    except PrecomputedError as e:
        sys.exit(f"error: {e}")
    write_csv(scores, args.out)
    job.record(
        args.out,
        card,
        dataset,
        args.index,
        seconds=round(time.perf_counter() - start, 3),
        failed=int((scores["error"] != "").sum()),
        complete=not refusal(scores),
        mirrored=args.mirrored,
    )


if __name__ == "__main__":
    job.run(main)
