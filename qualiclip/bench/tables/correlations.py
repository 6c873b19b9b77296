"""Tables of correlations: methods by rows; datasets and metrics by columns.

Bold is the best of a column and every method that is not significantly worse, underlined the next one. Results on sets
that a method was trained on are marked and do not compete.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import pandas as pd

from qualiclip.bench.absence import NOT_HERE, NOT_RUN
from qualiclip.bench.captions import caption, labels_note
from qualiclip.bench.cards.base import MethodFamily
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.formats import OFFICIAL, WHOLE, oriented, read_index, split_columns, test_parts
from qualiclip.bench.metrics.correlate import LIMITS
from qualiclip.bench.metrics.significance import not_worse
from qualiclip.bench.tables.notes import LEAKED, PROTOCOL, RAW, table_notes
from qualiclip.bench.tables.overlap import overlap
from qualiclip.bench.tables.reported import reported_block
from qualiclip.bench.tables.results import Result, read_results, statistic_of
from qualiclip.bench.tables.table import Table
from qualiclip.bench.workspace import Workspace

METRICS = {
    "srcc": "SRCC",
    "plcc": "PLCC (raw)",
    "plcc_logistic": "PLCC",
    "krcc": "KRCC",
    "rmse": "RMSE",
    "srcc_within_group": "SRCC in group",
}
TESTED = {"srcc": True, "plcc": False, "plcc_logistic": False}  # metric -> whether it is a correlation of ranks


class Column:
    """One metric on one dataset: one value per method, and which of them stand out."""

    def __init__(self, dataset: DatasetCard, metric: str, statistic: str, results: dict[str, Result]):
        """results: by the name of the method."""
        self.dataset, self.metric, self.statistic, self.results = dataset, metric, statistic, results
        self.title = f"{dataset.title} {METRICS[metric]}"
        self.values = {name: r.value(metric, statistic) for name, r in results.items()}

    def competing(self, leaks_compete: bool) -> dict[str, float]:
        """Defined values that compete, larger is better. What reads labels or references never competes."""
        direction = -1 if self.metric == "rmse" else 1
        return {
            name: direction * v
            for name, v in self.values.items()
            if np.isfinite(v)
            and not self.results[name].method.reads_labels
            and self.results[name].method.family != "full-reference"
            and (leaks_compete or not self.results[name].leaked)
        }

    def _compared_scores(self, name: str, parts: list[str]) -> np.ndarray:
        """The scores (parts, n) of one method that the metric correlates with the labels."""
        scores = self.results[name].scores(parts)
        curves = [self.results[name].curve(part) if self.metric == "plcc_logistic" else None for part in parts]
        return np.stack([c.direction * c(s) if c else s for c, s in zip(curves, scores, strict=True)])

    def marks(self, index: pd.DataFrame, leaks_compete: bool) -> dict[str, str]:
        """Method -> best or second."""
        values = self.competing(leaks_compete)
        if not values:
            return {}
        # the best, and all that share its value
        best = max(values, key=values.__getitem__)
        top = {name for name, v in values.items() if v == values[best]}
        # all that are not significantly worse
        if self.metric in TESTED and len(values) > 1:
            masks = test_parts(index)
            parts = {"whole": [WHOLE], "official": [OFFICIAL]}.get(self.statistic) or split_columns(index)
            scores = {name: self._compared_scores(name, parts) for name in values}
            labels = oriented(index["mos"], self.dataset.labels)
            top |= not_worse(scores, labels, best, [masks[p] for p in parts], TESTED[self.metric])
        # the next one
        rest = {name: v for name, v in values.items() if name not in top}
        second = {name for name, v in rest.items() if v == max(rest.values())}
        return dict.fromkeys(top, "best") | dict.fromkeys(second, "second")

    def cells(self, methods: list[str]) -> pd.Series:
        """Printed values; empty where a method has no result, "not run" where it was refused."""

        def cell(name: str) -> object:
            result = self.results.get(name)
            if result is None:
                return ""
            return NOT_RUN if result.refused else self.values[name]

        return pd.Series([cell(m) for m in methods], dtype=object)

    def flags(self, methods: list[str], index: pd.DataFrame) -> dict[int, str]:
        """Row -> symbols: the method has seen labels of the set (of how many images), or its fit did not converge."""
        flags: dict[int, str] = {}
        for i, name in enumerate(methods):
            result = self.results.get(name)
            if result and result.leaked:
                seen = overlap(result, index, self.statistic)
                flags[i] = f"{LEAKED} ({seen.text})" if seen else LEAKED
            unfitted = result is not None and (result.over("fit_converged", self.statistic) == 0).any()
            if self.metric in ("plcc_logistic", "rmse") and unfitted:
                flags[i] = flags.get(i, "") + RAW
        return flags

    def extra(self, methods: list[str]) -> dict[str, list[float]]:
        """Columns of the CSV alone: deviation over the test parts, whole-set value, limits."""
        results = [self.results.get(m) for m in methods]
        extra = {}
        if self.statistic == "median":
            extra["sd"] = [float(r.over(self.metric, "median").std(ddof=1)) if r else np.nan for r in results]
        if self.statistic != "whole":
            extra["whole set"] = [r.value(self.metric, "whole") if r else np.nan for r in results]
        if self.metric in LIMITS:
            limits = [r.limits(self.metric) if r else (np.nan, np.nan) for r in results]
            extra |= {"low": [low for low, _ in limits], "high": [high for _, high in limits]}
        return extra


def _add(table: Table, column: Column, methods: list[str], marks: dict[str, str], index: pd.DataFrame) -> None:
    """Append a column to the table: cells, flags, marks, and the additional columns of the CSV."""
    table.values[column.title] = column.cells(methods)
    table.headers[column.title] = (column.dataset.title, METRICS[column.metric])
    table.flags |= {(row, column.title): flag for row, flag in column.flags(methods, index).items()}
    table.marks |= {(methods.index(m), column.title): mark for m, mark in marks.items()}
    for name, values in column.extra(methods).items():
        table.extra[f"{column.title} {name}"] = values


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
    statistics = {name: statistic_of(index, card.statistic) for name, index in indexes.items()}
    # the first columns
    table = Table(card.title, caption(card, methods), pd.DataFrame({"Method": [m.title for m in methods]}))
    table.values["Family"] = [m.family for m in methods]
    table.row_group = "Family"
    # one column per dataset and metric
    for d in shown:
        of_set = {r.method.name: r for r in every if r.dataset.name == d.name}
        for metric in [*card.metrics, *(["srcc_within_group"] if card.within_group and d.labels.group else [])]:
            if d.name in absent:
                title = f"{d.title} {METRICS[metric]}"
                table.values[title] = [NOT_HERE if m.name in of_set else "" for m in methods]
                table.headers[title] = (d.title, METRICS[metric])
                continue
            column = Column(d, metric, statistics[d.name], of_set)
            marks = column.marks(indexes[d.name], leaks_compete=card.training_sets == "only")
            _add(table, column, [m.name for m in methods], marks, indexes[d.name])
    # notes, and the block of reported values
    table.protocol = PROTOCOL if results else ""
    table.notes = [*absent.values(), *labels_note(datasets), *table_notes(card, results, datasets, indexes, statistics)]
    if card.reported and results:
        block, counts = reported_block(card, workspace, results, statistics, indexes, METRICS)
        table.notes.append(f"Beside published values: {counts}.")
        if len(block.values):
            table.blocks.append(block)
    return table
