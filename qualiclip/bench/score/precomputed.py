"""Scores that somebody else computed, brought into the form of a score file.

`python -m qualiclip.bench.score.precomputed baselines/precomputed-qualiclip.yaml datasets/clive.yaml --index ...`
for a card with `scores:`. With `--from FILE` any CSV with the columns image and score is read, as a rule of your own
needs it. Images are not read: an index of labels alone is enough.
"""

from __future__ import annotations

import sys
import time
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pandas as pd

from qualiclip.bench import job
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard, PrecomputedScores
from qualiclip.bench.data import text_table
from qualiclip.bench.data.names import AmbiguousName, match
from qualiclip.bench.formats import read_index, refusal, refused_scores, write_csv
from qualiclip.bench.methods.contract import NotRun

MOS_TOLERANCE = 1e-3
TIMEOUT = 60  # seconds without an answer


class PrecomputedError(ValueError):
    """Precomputed scores that do not fit the dataset. The message says how to mend it."""


def _read(store: PrecomputedScores, file: str, mirror: Path | None) -> pd.DataFrame:
    """One file of the store, from the mirror or the network. Raises NotRun, or TableError."""
    local = mirror / store.store / file if mirror else None
    if local and local.is_file():
        return text_table.read(local.read_bytes(), str(local))
    source = f"{store.url.rstrip('/')}/{file.replace('+', '%2B')}"
    try:
        with urlopen(source, timeout=TIMEOUT) as answer:
            content = answer.read()
    except (OSError, HTTPException) as e:
        place = local or f"DIR/{store.store}/{file} and give mirror=DIR"
        raise NotRun(f"{file} could not be fetched from {store.url}; put it at {place}") from e
    return text_table.read(content, source)


def _column(table: pd.DataFrame, name: str | None, file: str) -> pd.Series:
    """The column `name`, or the first one for None. Raises PrecomputedError."""
    if name is None:
        return table.iloc[:, 0]
    if name not in table:
        has = ", ".join(map(repr, table.columns))
        raise PrecomputedError(f"{file}: no column {name!r}; it has {has}{text_table.hint(table)}")
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
        theirs = text_table.numbers(_column(scores, store.mos[0], item.scores))
        known = text_table.numbers(_column(names, store.mos[1], item.names or item.scores))
        wrong = np.flatnonzero(~(np.abs(theirs - known) <= MOS_TOLERANCE))
        if len(wrong):
            raise PrecomputedError(f"{item.scores}: row {wrong[0]} has label {theirs[wrong[0]]}, not {known[wrong[0]]}")
    image = _column(names, store.image, item.names or item.scores).to_numpy(str)
    score = _column(scores, store.score, item.scores)
    return pd.DataFrame({"image": image, "score": score.to_numpy(object)}, score.index)


def matched(index: pd.DataFrame, scores: pd.DataFrame, source: str) -> pd.DataFrame:
    """The score file of an index: image, score, error. `scores` may have more rows, in any order.

    scores: image, score, as text or numbers; its row labels are the lines of the file. A name means an image as
    `names.match` describes. Raises PrecomputedError for a name that could mean several images, for two rows of one
    image, and where no score is a number.
    """
    try:
        meant = pd.Series(match(scores["image"].tolist(), index["image"].tolist()), scores.index, dtype=object)
    except AmbiguousName as e:
        raise PrecomputedError(f"{source}: {e}; write names with their folders") from e
    rows = scores.assign(number=text_table.numbers(scores["score"]), line=scores.index)[meant.notna()]
    rows = rows.set_axis(meant.dropna())
    if rows.index.has_duplicates:
        twice = rows.index[rows.index.duplicated()][0]
        raise PrecomputedError(f"{source}: {twice} occurs twice, as {', '.join(rows.loc[[twice], 'image'])}")
    # an error for what is missing, and for what is no number
    bad = rows["number"].isna()
    if len(rows) and bad.all():
        raise PrecomputedError(
            f"{source}: none of its scores is a number; line {rows['line'].iloc[0]} has "
            f"{rows['score'].iloc[0]!r}; write 0.5, not 50% or 0,5"
        )
    why = pd.Series(f"no score in {source}", index["image"], dtype=object)
    why[rows.index[bad]] = [
        f"{source}, line {r.line}: the score is {r.score!r}" if isinstance(r.score, str) else f"no score in {source}"
        for r in rows[bad].itertuples()
    ]
    score = rows["number"].reindex(index["image"]).to_numpy()
    return pd.DataFrame({"image": index["image"], "score": score, "error": np.where(np.isnan(score), why, "")})


def check_version(card: MethodCard, dataset: DatasetCard) -> None:
    """Raises PrecomputedError for scores that were computed for another version of the dataset."""
    stated = card.dataset_versions.get(dataset.name, dataset.version)
    if stated != dataset.version:
        raise PrecomputedError(
            f"{card.path}: dataset_versions: its scores are of {dataset.name} version {stated}, "
            f"{dataset.path} is version {dataset.version}"
        )


def build(card: MethodCard, dataset: str, index: pd.DataFrame, mirror: Path | None, file: Path | None) -> pd.DataFrame:
    """The score file of a card with `scores:`, or of a CSV `file`. Raises PrecomputedError or NotRun."""
    if file is None and not card.scores:
        raise PrecomputedError(f"{card.path}: the card names no scores; give a file with --from")
    if isinstance(card.scores, PrecomputedScores) and file is None:
        return matched(index, named_scores(card.scores, dataset, mirror), card.scores.files[dataset].scores)
    path = file or card.sibling(str(card.scores).format(dataset=dataset))
    if not path.is_file():
        raise NotRun(f"there is no {path}")
    table = text_table.read(path.read_bytes(), str(path))
    columns = {c: _column(table, c, str(path)) for c in ("image", "score")}
    return matched(index, pd.DataFrame(columns).dropna(subset="image"), path.name)


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
        check_version(card, dataset)
        scores = build(card, dataset.name, index, args.mirror, args.file)
    except NotRun as e:
        scores = refused_scores(index, str(e))
    except (PrecomputedError, text_table.TableError) as e:
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
