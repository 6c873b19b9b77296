"""The notes below a table of correlations: what a reader must know of its numbers."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd

from qualiclip.bench.captions import missing_note
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.tables.overlap import overlap
from qualiclip.bench.tables.results import STATISTICS, Result

LEAKED, RAW = "†", "‡"
PROTOCOL = (  # what holds for every table of correlations, said once per document
    "Correlations are oriented: 1 is perfect agreement with the labels. PLCC: after a four-parameter logistic. SRCC in "
    "group: the mean over groups of images of one model, reference or scene. Bold: the best and all not significantly "
    "worse (Meng-Rosenthal-Rubin, Holm-corrected, 5%); underlined: the next. –: undefined (constant scores or too few "
    "images)."
)


def _incomplete_sets(
    card: TableCard, datasets: list[DatasetCard], indexes: dict[str, pd.DataFrame], statistics: dict[str, str]
) -> list[str]:
    """Missing images, and sets that do not allow the statistic of the table."""
    notes = []
    for d in datasets:
        notes += missing_note(d, indexes[d.name])
        if statistics[d.name] != card.statistic:
            used, wanted = STATISTICS[statistics[d.name]], STATISTICS[card.statistic]
            notes.append(f"{d.title}: {used}; it has no test parts for the {wanted}.")
    return notes


def _undefined(results: list[Result], statistics: dict[str, str]) -> list[str]:
    """Test parts on which the scores of a method are constant."""
    notes = []
    for r in results:
        statistic = statistics[r.dataset.name]
        if not r.refused and np.isfinite(r.value("srcc", statistic)) and (n := r.undefined("srcc", statistic)):
            notes.append(f"{r.method.title} is undefined (constant) on {n} test parts of {r.dataset.title}.")
    return notes


def _failed(results: list[Result], indexes: dict[str, pd.DataFrame]) -> list[str]:
    """Images that methods failed on: one sentence per number and dataset."""
    methods: dict[tuple[int, str], list[str]] = defaultdict(list)
    for r in results:
        if not r.refused and (n := r.failed(indexes[r.dataset.name])):
            methods[n, r.dataset.title].append(r.method.title)
    return [f"{'; '.join(m)} failed on {n} images of {d}, which are left out." for (n, d), m in methods.items()]


def _refused(results: list[Result]) -> list[str]:
    """Methods that were not run: one sentence per reason."""
    datasets: dict[tuple[str, str], list[str]] = defaultdict(list)  # method, reason -> datasets
    for r in results:
        if r.refused:
            datasets[r.method.title, r.refused].append(r.dataset.title)
    methods: dict[tuple[str, str], list[str]] = defaultdict(list)  # datasets, reason -> methods
    for (title, reason), on in datasets.items():
        methods[", ".join(on), reason].append(title)
    return [f"{'; '.join(titles)} on {on}: not run: {reason}" for (on, reason), titles in methods.items()]


def _seen(r: Result, indexes: dict[str, pd.DataFrame], statistics: dict[str, str]) -> str:
    """A method and a set that it was trained on, with the number of images where that is known."""
    seen = overlap(r, indexes[r.dataset.name], statistics[r.dataset.name])
    return f"{r.method.title} on {r.dataset.title}{f' ({seen.words})' if seen and not r.refused else ''}"


def _training(
    card: TableCard, results: list[Result], indexes: dict[str, pd.DataFrame], statistics: dict[str, str]
) -> list[str]:
    """Which methods have seen labels of the sets they are tested on."""
    notes = []
    if per_split := sorted({r.method.title for r in results if r.method.features_of}):
        notes.append(f"Trained here on the train part of each split, tested on its test part: {', '.join(per_split)}.")
    if leaked := [_seen(r, indexes, statistics) for r in results if r.leaked]:
        rest = "" if card.training_sets == "only" else ", and does not compete"
        meaning = f"{LEAKED} has seen human labels of that set{rest} (seen/all: training images behind the value)"
        notes.append(f"{meaning}: {'; '.join(leaked)}.")
    return notes


def _unfitted(card: TableCard, results: list[Result], statistics: dict[str, str]) -> list[str]:
    """What stands in place of a logistic fit that did not converge."""
    unfitted = any((r.over("fit_converged", statistics[r.dataset.name]) == 0).any() for r in results)
    if unfitted and {"plcc_logistic", "rmse"} & set(card.metrics):
        return [f"{RAW} the logistic fit did not converge there: raw PLCC, and RMSE of a line."]
    return []


def _statistic(
    card: TableCard, results: list[Result], datasets: list[DatasetCard], statistics: dict[str, str]
) -> list[str]:
    """What the values are taken over, and how many images that is."""
    sizes = {d.title: {r.n(statistics[d.name]) for r in results if r.dataset.name == d.name} - {0} for d in datasets}
    counts = ", ".join(f"{t} {'/'.join(str(n) for n in sorted(s, reverse=True))}" for t, s in sizes.items() if s)
    return [f"Values: {STATISTICS[card.statistic]}. Images behind a value, n: {counts}."]


def table_notes(
    card: TableCard,
    results: list[Result],
    datasets: list[DatasetCard],
    indexes: dict[str, pd.DataFrame],
    statistics: dict[str, str],
) -> list[str]:
    """All notes. indexes and statistics: by the name of the dataset."""
    if not results:
        return [card.empty_note]
    return [
        *_incomplete_sets(card, datasets, indexes, statistics),
        *_undefined(results, statistics),
        *_failed(results, indexes),
        *_refused(results),
        *_training(card, results, indexes, statistics),
        *_unfitted(card, results, statistics),
        *_statistic(card, results, datasets, statistics),
    ]
