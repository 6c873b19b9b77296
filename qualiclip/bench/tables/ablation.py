"""Tables of an ablation: variants beside the full model, all trained on one schedule.

Rows that were trained otherwise, or not at all, are references: they stand first, and apart. Values are means over the
seeds, with their standard deviation; nothing competes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from qualiclip.bench.captions import labels_note
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.formats import read_index
from qualiclip.bench.tables.marks import Column
from qualiclip.bench.tables.notes import RAW, UNFITTED
from qualiclip.bench.tables.results import STATISTICS, Result, read_results, statistic_of
from qualiclip.bench.tables.table import Table, number_text
from qualiclip.bench.tables.tidy import METRICS, tidy
from qualiclip.bench.workspace import Workspace

REFERENCE, COMPARED = "reference", "one schedule"


def _schedule(m: MethodCard, workspace: Workspace) -> str:
    """How long the variant of a method was trained."""
    if not m.variant:
        return "–"
    train = workspace.config.variant(m.variant)
    return f"{train.steps} steps" if train.steps is not None else f"{train.epochs:g} epochs"


def _rows(card: TableCard, workspace: Workspace) -> tuple[list[MethodCard], list[MethodCard]]:
    """The references by title, and the compared methods with the full model first; without repeats."""
    compared = [m for m in workspace.compared(card) if not m.repeat_of]
    others = [m for m in workspace.table_methods(card) if not m.repeat_of and m not in compared]
    return sorted(others, key=lambda m: m.title.casefold()), compared


def _caption(card: TableCard, compared: list[MethodCard], workspace: Workspace) -> str:
    """The card's caption, and what is there to see."""
    if len(compared) == 1:
        return f"{card.caption} {card.empty_note}"
    return f"{card.caption} Here: {'; '.join(m.title for m in compared[1:])}; {_schedule(compared[0], workspace)} each."


def build(card: TableCard, workspace: Workspace) -> Table:
    """One row per method; for each dataset and metric the value, and its difference to that of the full model.

    A set that is not here has no column, and a note says why.
    """
    references, compared = _rows(card, workspace)
    every = read_results(workspace.paths, workspace.table_pairs(card))
    absent = list(dict.fromkeys(r.not_here for r in every if r.not_here))
    results = [r for r in every if not r.not_here]
    if not compared or not results:
        return Table(card.title, card.caption, pd.DataFrame(), absent or [card.empty_note], results=tidy([]))
    # the first columns
    methods = [*references, *compared]
    table = Table(card.title, _caption(card, compared, workspace), pd.DataFrame({"Method": [m.title for m in methods]}))
    table.values["Role"] = [REFERENCE] * len(references) + [COMPARED] * len(compared)
    table.row_group = "Role"
    table.values["Training"] = [_schedule(m, workspace) for m in methods]
    # values and differences
    datasets = [d for d in workspace.table_datasets(card) if any(r.dataset.name == d.name for r in results)]
    sizes, columns = [], []
    for d in datasets:
        index = read_index(workspace.paths.index(d.name))
        statistic = statistic_of(index, card.statistic)
        of_set = [r for r in results if r.dataset.name == d.name]
        columns.append(Column(d, card.metrics[0], card.statistic, {r.method.name: r for r in of_set}, index))
        sizes.append(f"{d.title} {max(r.n(statistic) for r in of_set)}, {STATISTICS[statistic]}")
        for metric in card.metrics:
            title = f"{d.title} {METRICS[metric]}"
            table.headers |= {title: (d.title, METRICS[metric]), f"{title} change": (d.title, "change")}
            _add(table, title, {m.name: _values(of_set, m, metric, statistic) for m in methods}, compared, methods)
            if metric in ("plcc_logistic", "rmse"):
                raw = {m.name for m in methods for r in of_set if r.belongs_to(m) and r.unfitted(statistic)}
                for row in (i for i, m in enumerate(methods) if m.name in raw):
                    table.flags[row, title] = table.flags.get((row, title), "") + RAW
    table.notes = [*absent, *labels_note(datasets), *_notes(results, compared, sizes)]
    table.notes += [UNFITTED] if any(RAW in flag for flag in table.flags.values()) else []
    table.results = tidy(columns, marked=False)
    return table


def _values(results: list[Result], m: MethodCard, metric: str, statistic: str) -> np.ndarray:
    """(seeds,) values of a method and its repeats; empty where it was not run."""
    values = [r.value(metric, statistic) for r in results if r.belongs_to(m)]
    return np.array([v for v in values if np.isfinite(v)])


def _add(
    table: Table, title: str, seeds: dict[str, np.ndarray], compared: list[MethodCard], methods: list[MethodCard]
) -> None:
    """Append the means over the seeds, flagged with their deviation, and the differences to the full model."""
    means = {name: float(v.mean()) if len(v) else np.nan for name, v in seeds.items()}
    table.values[title] = list(means.values())
    full = compared[0].name
    change = f"{title} change"
    table.values[change] = [means[m.name] - means[full] if m in compared[1:] else "" for m in methods]
    for row, v in enumerate(seeds.values()):
        if len(v) > 1:
            table.flags[row, title] = f" ± {number_text(v.std(ddof=1))}"


def _notes(results: list[Result], compared: list[MethodCard], sizes: list[str]) -> list[str]:
    """What was not run, and how to read the numbers."""
    refused = sorted({f"{r.method.title}: not run: {r.refused}" for r in results if r.refused})
    seeds = len({r.method.name for r in results if r.belongs_to(compared[0])})
    spread = (
        f"Means of {seeds} seeds ± their standard deviation; a change of that size means nothing."
        if seeds > 1
        else "One seed: how far a value moves with the seed is not known, and no change is marked."
    )
    return [
        *refused,
        f"Change: to the first row of those trained on one schedule, {compared[0].title}. References were trained "
        f"otherwise, or not at all, and are compared with nothing. {spread}",
        f"Signed so that 1 is perfect; PLCC after a rising four-parameter logistic. n: {'; '.join(sizes)}.",
    ]
