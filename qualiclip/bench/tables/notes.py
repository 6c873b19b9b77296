"""The notes below a table of correlations: what a reader must know of its numbers."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from qualiclip.bench.captions import missing_note
from qualiclip.bench.cards.release import PROTOCOL as PROTOCOL_VERSION
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.tables.marks import TIED, Column
from qualiclip.bench.tables.overlap import overlap
from qualiclip.bench.tables.results import MIN_GROUPS, STATISTICS, Result, distinct_parts, groups_of, statistic_of
from qualiclip.bench.tables.tidy import METRICS

LEAKED, RAW = "†", "‡"
UNFITTED = f"{RAW} no rising curve beats a constant, on one part or seed at least: raw PLCC, and RMSE of the constant."
PROTOCOL = (  # what holds for every table of correlations, said once per document
    f"Protocol {PROTOCOL_VERSION}. Correlations are oriented: 1 is perfect agreement with the labels. PLCC: after a "
    "rising four-parameter logistic. "
    "SRCC in group: the mean over groups of images of one model, reference or scene. Bold: the best and all not "
    "significantly worse, tested on the whole set, or over the test parts for a method trained per split "
    "(Holm-corrected, 5%); underlined: the next. Images of one reference or prompt, a group, count as one observation. "
    "Only what is significantly above zero is marked; controls, full-reference metrics and what has seen labels of the "
    "set never are. –: undefined (constant scores or too few images)."
)


def _incomplete_sets(card: TableCard, sets: dict[str, Column]) -> list[str]:
    """Missing images, and sets that do not allow the statistic of the table."""
    notes = []
    for c in sets.values():
        notes += missing_note(c.dataset, c.index)
        if (used := statistic_of(c.index, card.statistic)) != card.statistic:
            groups = groups_of(c.index)
            few = f"test parts need {MIN_GROUPS} groups of images, it has {groups}"
            why = few if groups < MIN_GROUPS else f"it has no test parts for the {STATISTICS[card.statistic]}"
            notes.append(f"{c.dataset.title}: {STATISTICS[used]}; {why}.")
    return notes


def _unconfirmed(sets: dict[str, Column]) -> list[str]:
    """Sets whose medians may move, because it is not known which rows their split files mean."""
    return [
        f"{c.dataset.title}: the row order of its split files is not confirmed; a median may move by "
        f"{c.dataset.split_reach:g}."
        for c in sets.values()
        if c.dataset.split_reach and "median" in map(c.statistic, c.results)
    ]


def _undefined(results: list[Result], sets: dict[str, Column]) -> list[str]:
    """Test parts on which the scores of a method are constant."""
    notes = []
    for r in results:
        statistic = sets[r.dataset.name].statistic(r.method.name)
        if not r.refused and np.isfinite(r.value("srcc", statistic)) and (n := r.undefined("srcc", statistic)):
            notes.append(f"{r.method.title} is undefined (constant) on {n} test parts of {r.dataset.title}.")
    return notes


def _failed(results: list[Result], sets: dict[str, Column]) -> list[str]:
    """Images that methods failed on: one sentence per number and dataset."""
    methods: dict[tuple[int, str], list[str]] = defaultdict(list)
    for r in results:
        if not r.refused and (n := r.failed(sets[r.dataset.name].index)):
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


def _seen(r: Result, column: Column) -> str:
    """A method and a set that it was trained on, with the number of images where that is known."""
    seen = overlap(r, column.index, column.statistic(r.method.name))
    return f"{r.method.title} on {r.dataset.title}{f' ({seen.words})' if seen and not r.refused else ''}"


def _training(results: list[Result], sets: dict[str, Column]) -> list[str]:
    """Which methods have seen labels of the sets they are tested on."""
    notes = []
    if per_split := sorted({r.method.title for r in results if r.per_split}):
        how = "Trained here on the train part of each split, tested on its test part (median over the parts)"
        notes.append(f"{how}: {', '.join(per_split)}.")
    if leaked := [_seen(r, sets[r.dataset.name]) for r in results if r.leaked]:
        meaning = "has seen human labels of that set, and does not compete (seen/all: training images behind the value)"
        notes.append(f"{LEAKED} {meaning}: {'; '.join(leaked)}.")
    return notes


def _unfitted(card: TableCard, results: list[Result], sets: dict[str, Column]) -> list[str]:
    """What stands in place of a logistic fit where there is none."""
    unfitted = any(r.unfitted(sets[r.dataset.name].statistic(r.method.name)) for r in results)
    if unfitted and {"plcc_logistic", "rmse"} & set(card.metrics):
        return [UNFITTED]
    return []


def _counts(column: Column) -> str:
    """Images, groups and distinct test parts behind the values of a set, in words."""
    shown = [(r, column.statistic(name)) for name, r in column.results.items() if not r.refused]
    sizes = sorted({r.n(statistic) for r, statistic in shown} - {0}, reverse=True)
    groups = sorted({r.groups(statistic) for r, statistic in shown} - {0}, reverse=True)
    text = "/".join(map(str, sizes))
    text += f" in {'/'.join(map(str, groups))} groups" if groups else ""
    parts = any(statistic == "median" for _, statistic in shown)
    return f"{text}, {distinct_parts(column.index)} distinct parts" if parts else text


def _unmarked(columns: list[Column]) -> list[str]:
    """Columns without marks: one sentence per dataset and reason."""
    metrics: dict[tuple[str, str], list[str]] = defaultdict(list)
    for c in columns:
        if c.unmarked:
            why = f"n = {_counts(c)} does not separate the methods" if c.unmarked == TIED else c.unmarked
            metrics[c.dataset.title, why].append(METRICS[c.metric])
    return [f"No marks for {title} ({', '.join(names)}): {why}." for (title, why), names in metrics.items()]


def _statistic(card: TableCard, sets: dict[str, Column]) -> list[str]:
    """What the values are taken over, and how many images that is."""
    used = {c.statistic(name) for c in sets.values() for name, r in c.results.items() if not r.refused}
    # what the card asks for, unless no set here has it
    statistic = used.pop() if len(used) == 1 else card.statistic
    sizes = "; ".join(f"{c.dataset.title} {counts}" for c in sets.values() if (counts := _counts(c)))
    return [f"Values: {STATISTICS[statistic]}. Images behind a value, n: {sizes}."]


def _versions(card: TableCard, sets: dict[str, Column]) -> list[str]:
    """Which versions of the table and of its sets these numbers are of."""
    return [
        ", ".join(
            [f"Versions: this table {card.version}", *(f"{c.dataset.title} {c.dataset.version}" for c in sets.values())]
        )
        + "."
    ]


def table_notes(card: TableCard, results: list[Result], columns: list[Column]) -> list[str]:
    """All notes. results: of the sets that are here; columns: all of those sets."""
    if not results:
        return [card.empty_note]
    sets: dict[str, Column] = {}  # the first column of each set
    for c in columns:
        sets.setdefault(c.dataset.name, c)
    return [
        *_incomplete_sets(card, sets),
        *_unconfirmed(sets),
        *_undefined(results, sets),
        *_failed(results, sets),
        *_refused(results),
        *_training(results, sets),
        *_unfitted(card, results, sets),
        *_unmarked(columns),
        *_statistic(card, sets),
        *_versions(card, sets),
    ]
