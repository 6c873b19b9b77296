"""Tables of correlations: methods by rows; datasets and metrics by columns.

Which values stand out: marks.py. The same numbers in one line per method, dataset, metric and statistic: tidy.py.
"""

from __future__ import annotations

from typing import get_args

import pandas as pd

from qualiclip.bench.absence import NOT_HERE, NOT_RUN
from qualiclip.bench.captions import caption, labels_note
from qualiclip.bench.cards.base import MethodFamily
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.formats import read_index
from qualiclip.bench.tables.marks import Column
from qualiclip.bench.tables.notes import LEAKED, PROTOCOL, RAW, table_notes
from qualiclip.bench.tables.overlap import overlap
from qualiclip.bench.tables.reported import comparisons, reported_block
from qualiclip.bench.tables.results import read_results
from qualiclip.bench.tables.table import Table
from qualiclip.bench.tables.tidy import METRICS, tidy
from qualiclip.bench.workspace import Workspace


def _cells(column: Column, methods: list[str]) -> pd.Series:
    """Printed values; empty where a method has no result, "not run" where it was refused."""

    def cell(name: str) -> object:
        result = column.results.get(name)
        if result is None:
            return ""
        return NOT_RUN if result.refused else column.value(name)

    return pd.Series([cell(m) for m in methods], dtype=object)


def _flags(column: Column, methods: list[str]) -> dict[int, str]:
    """Row -> symbols: the method has seen labels of the set (of how many images), or no rising curve fits."""
    flags: dict[int, str] = {}
    for i, name in enumerate(methods):
        result = column.results.get(name)
        if result and result.leaked:
            seen = overlap(result, column.index, column.statistic(name))
            flags[i] = f"{LEAKED} ({seen.text})" if seen else LEAKED
        if result and column.metric in ("plcc_logistic", "rmse") and result.unfitted(column.statistic(name)):
            flags[i] = flags.get(i, "") + RAW
    return flags


def build(card: TableCard, workspace: Workspace) -> Table:
    """Methods by rows; for each dataset the metrics of the card, signed, 1 is perfect."""
    # results, methods in the order of families and titles, datasets that have a result, and those that are not here
    every = read_results(workspace.paths, workspace.table_pairs(card))
    families = get_args(MethodFamily)
    by_name = {r.method.name: r.method for r in every}
    methods = sorted(by_name.values(), key=lambda m: (families.index(m.family), m.title.casefold()))
    absent = {r.dataset.name: r.not_here for r in every if r.not_here}
    results = [r for r in every if not r.not_here]
    shown = [d for d in workspace.table_datasets(card) if any(r.dataset.name == d.name for r in every)]
    datasets = [d for d in shown if d.name not in absent]
    indexes = {d.name: read_index(workspace.paths.index(d.name)) for d in datasets}
    # the first columns
    table = Table(card.title, caption(card, methods), pd.DataFrame({"Method": [m.title for m in methods]}))
    table.values["Family"] = [m.family for m in methods]
    table.row_group = "Family"
    # one column per dataset and metric
    names, columns = [m.name for m in methods], []
    for d in shown:
        of_set = {r.method.name: r for r in every if r.dataset.name == d.name}
        for metric in [*card.metrics, *(["srcc_within_group"] if card.within_group and d.labels.group else [])]:
            title = f"{d.title} {METRICS[metric]}"
            table.headers[title] = (d.title, METRICS[metric])
            if d.name in absent:
                table.values[title] = [NOT_HERE if m.name in of_set else "" for m in methods]
                continue
            column = Column(d, metric, card.statistic, of_set, indexes[d.name])
            table.values[title] = _cells(column, names)
            table.flags |= {(row, title): flag for row, flag in _flags(column, names).items()}
            table.marks |= {(names.index(m), title): mark for m, mark in column.marks.items()}
            columns.append(column)
    # notes, and the block of reported values
    table.protocol = PROTOCOL if results else ""
    table.notes = [*absent.values(), *labels_note(datasets), *table_notes(card, results, columns)]
    compared = comparisons(workspace, results, card, indexes) if card.reported else []
    if card.reported and results:
        block, counts = reported_block(card, results, compared, METRICS)
        table.notes.append(f"Beside published values: {counts}.")
        if len(block.values):
            table.blocks.append(block)
    table.results = tidy(columns, compared)
    return table
