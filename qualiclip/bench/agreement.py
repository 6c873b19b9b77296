"""Tables of correlations: methods by rows, datasets by columns, from metrics and score files.

Best of a column and all not significantly worse bold, the next one underlined; results on sets that a
method was trained on are marked and do not compete.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
import pandas as pd

from qualiclip.bench import correlate, reported
from qualiclip.bench.cards import DatasetCard, MethodCard, MethodFamily, TableCard
from qualiclip.bench.significance import not_worse
from qualiclip.bench.table import Table, labels_note, missing_note
from qualiclip.bench.tabular import read_index, read_scores
from qualiclip.bench.workspace import Workspace

METRICS = {
    "srcc": "SRCC",
    "plcc": "PLCC (raw)",
    "plcc_logistic": "PLCC",
    "krcc": "KRCC",
    "rmse": "RMSE",
    "srcc_within_group": "SRCC in group",
}
TESTED = {"srcc": True, "plcc": False, "plcc_logistic": False}  # metric -> whether it is one of ranks
HOW = {"whole": "whole set", "median": "median over the ten test parts", "official": "official test part"}
PARTS = {"whole": "all", "official": "official", "median": r"split_\d+"}  # names of the parts behind each
LEAK, RAW = "†", "‡"


@dataclass
class Result:
    """The metrics of one method on one dataset."""

    method: MethodCard
    dataset: DatasetCard
    metrics: pd.DataFrame

    @property
    def refused(self) -> str:
        """Why the method did not run, or nothing."""
        rows = self.metrics[self.metrics["split"] == "not run"]
        return str(rows["metric"].iloc[0]) if len(rows) else ""

    @property
    def leaked(self) -> bool:
        return self.dataset.name in self.method.trained_on

    @cached_property
    def _wide(self) -> pd.DataFrame:
        return self.metrics.pivot(index="split", columns="metric", values="value")

    def over(self, metric: str, how: str) -> pd.Series:
        """Values of the splits behind a statistic, undefined ones left out."""
        if self.refused or metric not in self._wide:
            return pd.Series(dtype=float)
        return self._wide.loc[self._wide.index.str.fullmatch(PARTS[how]), metric].dropna()

    def value(self, metric: str, how: str) -> float:
        return float(self.over(metric, how).median())

    def n(self, how: str) -> int:
        """Images behind a statistic; of ten test parts, those of the middle one."""
        rows = self.metrics[self.metrics["split"].str.fullmatch(PARTS[how])]
        return int(rows["n"].median()) if len(rows) else 0

    def limits(self, metric: str) -> tuple[float, float]:
        """95% limits of the whole-set value."""
        return self.value(f"{metric}_low", "whole"), self.value(f"{metric}_high", "whole")

    def curve(self, part: str = "all") -> correlate.Fit | None:
        """The logistic of the whole set; of a method trained within splits, that of a part."""
        names = [f"fit_{k}" for k in ("top", "bottom", "middle", "width")]
        row = self._wide.reindex(index=[part if self.method.features else "all"], columns=names).to_numpy(float)[0]
        return correlate.Fit(*row) if np.isfinite(row).all() else None

    def scores(self, space: Workspace, parts: list[str]) -> np.ndarray:
        """Oriented scores (parts, n) of every indexed image; NaN where a part has none."""
        table = read_scores(space.scores(self.method, self.dataset))
        return np.stack([correlate.orient(correlate.scores_of(table, part), self.method) for part in parts])

    def undefined(self, metric: str, how: str) -> int:
        """Parts behind a statistic that are large enough, and yet have no value: the scores are constant there."""
        rows = self.metrics[(self.metrics["metric"] == metric) & (self.metrics["n"] >= correlate.MIN_N)]
        return int(rows[rows["split"].str.fullmatch(PARTS[how])]["value"].isna().sum())

    def missed(self, index: pd.DataFrame) -> int:
        """Images that it failed on: of the whole set, or of a test part where each split has a model of its own."""
        n, parts = self.metrics.groupby("split")["n"].first(), correlate.parts_of(index)
        return max((int(inside.sum()) - n[name] for name, inside in parts.items() if name in n), default=len(index))


def statistic_of(index: pd.DataFrame, wanted: str) -> str:
    """The statistic that a set allows: the one wanted, or what its test parts are large enough for."""
    large = {name for name, inside in correlate.parts_of(index).items() if inside.sum() >= correlate.MIN_N}
    allowed = {"median": any(p.startswith("split_") for p in large), "official": "official" in large}
    order = [] if wanted == "whole" else [wanted, "median", "official"]
    return next((how for how in order if allowed[how]), "whole")


def results(space: Workspace, pairs: list[tuple[MethodCard, DatasetCard]]) -> list[Result]:
    return [Result(m, d, pd.read_csv(space.metrics(m, d))) for m, d in pairs]


class Column:
    """One metric on one dataset: a value a method, and which of them stand out."""

    def __init__(self, dataset: DatasetCard, metric: str, how: str, found: dict[str, Result]):
        self.dataset, self.metric, self.how, self.found = dataset, metric, how, found
        self.title = f"{dataset.title} {METRICS[metric]}"
        self.values = {name: r.value(metric, how) for name, r in found.items()}

    def competing(self, leaks_compete: bool) -> dict[str, float]:
        """Defined values that count, larger is better; a control that reads the labels never competes."""
        sign = -1 if self.metric == "rmse" else 1
        return {
            name: sign * v
            for name, v in self.values.items()
            if np.isfinite(v) and not self.found[name].method.labels and (leaks_compete or not self.found[name].leaked)
        }

    def _compared(self, name: str, space: Workspace, parts: list[str]) -> np.ndarray:
        """The scores (parts, n) of one method that the metric correlates with the labels."""
        scores = self.found[name].scores(space, parts)
        curves = [self.found[name].curve(part) if self.metric == "plcc_logistic" else None for part in parts]
        return np.stack([c.direction * c(s) if c else s for c, s in zip(curves, scores, strict=True)])

    def marks(self, space: Workspace, index: pd.DataFrame, leaks_compete: bool) -> dict[str, str]:
        """Method -> best or second."""
        values = self.competing(leaks_compete)
        if not values:
            return {}
        best = max(values, key=values.__getitem__)
        top = {name for name, v in values.items() if v == values[best]}
        if self.metric in TESTED and len(values) > 1:
            parts = correlate.parts_of(index)
            chosen = {"whole": ["all"], "official": ["official"]}
            names = chosen.get(self.how) or [p for p in parts if p.startswith("split_")]
            scores = {name: self._compared(name, space, names) for name in values}
            labels = correlate.orient_labels(index["mos"], self.dataset)
            top |= not_worse(scores, labels, best, [parts[p] for p in names], TESTED[self.metric])
        rest = {name: v for name, v in values.items() if name not in top}
        second = {name for name, v in rest.items() if v == max(rest.values())}
        return dict.fromkeys(top, "best") | dict.fromkeys(second, "second")


def correlations(card: TableCard, space: Workspace) -> Table:
    """Methods by rows; for each dataset the metrics of the card, signed, 1 is perfect."""
    found = results(space, space.table_pairs(card))
    methods = {r.method.name: r.method for r in found}
    order = get_args(MethodFamily)
    methods = dict(sorted(methods.items(), key=lambda item: (order.index(item[1].family), item[1].title.casefold())))
    sets = {d.name: d for d in space.table_datasets(card) if any(r.dataset.name == d.name for r in found)}
    indexes = {name: read_index(space.index(d)) for name, d in sets.items()}
    table = Table(card.title, card.caption, pd.DataFrame({"Method": [m.title for m in methods.values()]}))
    table.values["Family"] = [m.family for m in methods.values()]
    if card.schedule:
        table.values["Training"] = [_schedule(m, space) for m in methods.values()]
    hows = {name: statistic_of(index, card.statistic) for name, index in indexes.items()}
    for name, d in sets.items():
        own = {r.method.name: r for r in found if r.dataset.name == name}
        for metric in [*card.metrics, *(["srcc_within_group"] if card.within_group and d.labels.group else [])]:
            column = Column(d, metric, hows[name], own)
            _add(table, column, list(methods))
            for m, mark in column.marks(space, indexes[name], card.pairs == "trained on").items():
                table.marks[list(methods).index(m), column.title] = mark
    table.notes = [*labels_note(list(sets.values())), *_notes(card, found, sets, indexes, hows)]
    if card.reported and found:
        beside, counts = _reported(card, space, found, hows, indexes)
        table.notes.append(f"Beside published values: {counts}.")
        if len(beside.values):
            table.blocks.append(beside)
    return table


def _schedule(m: MethodCard, space: Workspace) -> str:
    if not m.variant:
        return "–"
    train = space.config.variant(m.variant)
    return f"{train.steps} steps" if train.steps is not None else f"{train.epochs:g} epochs"


def _add(table: Table, column: Column, methods: list[str]) -> None:
    """Append a column's cells, flags, and what the CSV says besides."""

    def cell(name: str) -> object:
        result = column.found.get(name)
        if result is None:
            return ""
        return "not run" if result.refused else column.values[name]

    table.values[column.title] = pd.Series([cell(m) for m in methods], dtype=object)
    for i, name in enumerate(methods):
        result = column.found.get(name)
        if result and result.leaked:
            table.flags[i, column.title] = LEAK
        unfitted = result is not None and (result.over("fit_converged", column.how) == 0).any()
        if column.metric in ("plcc_logistic", "rmse") and unfitted:
            table.flags[i, column.title] = table.flags.get((i, column.title), "") + RAW
    have = [column.found.get(m) for m in methods]
    extra = {}
    if column.how == "median":
        extra["sd"] = [float(r.over(column.metric, "median").std(ddof=1)) if r else np.nan for r in have]
    if column.how != "whole":
        extra["whole set"] = [r.value(column.metric, "whole") if r else np.nan for r in have]
    if column.metric in correlate.LIMITS:
        limits = [r.limits(column.metric) if r else (np.nan, np.nan) for r in have]
        extra |= {"low": [low for low, _ in limits], "high": [high for _, high in limits]}
    for name, values in extra.items():
        table.extra[f"{column.title} {name}"] = values


def _notes(card: TableCard, found: list[Result], sets: dict, indexes: dict, hows: dict) -> list[str]:
    """What a reader must know of the numbers."""
    if not found:
        return [card.empty]
    notes = []
    for name, d in sets.items():
        notes += missing_note(d, indexes[name])
        if hows[name] != card.statistic:
            notes.append(f"{d.title}: {HOW[hows[name]]}; it has no test parts for the {HOW[card.statistic]}.")
    refused: dict[tuple[str, str], list[str]] = defaultdict(list)  # method, why -> datasets
    failed: dict[tuple[int, str], list[str]] = defaultdict(list)  # images, dataset -> methods
    for r in found:
        if r.refused:
            refused[r.method.title, r.refused].append(r.dataset.title)
        elif n := r.missed(indexes[r.dataset.name]):
            failed[n, r.dataset.title].append(r.method.title)
        how = hows[r.dataset.name]
        if np.isfinite(r.value("srcc", how)) and (undefined := r.undefined("srcc", how)):
            notes.append(f"{r.method.title} is undefined (constant) on {undefined} test parts of {r.dataset.title}.")
    notes += [f"{'; '.join(m)} failed on {n} images of {d}, which are left out." for (n, d), m in failed.items()]
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)  # datasets, why -> methods
    for (title, why), on in refused.items():
        alike[", ".join(on), why].append(title)
    notes += [f"{'; '.join(titles)} on {on}: not run: {why}" for (on, why), titles in alike.items()]
    if within := sorted({r.method.title for r in found if r.method.features}):
        notes.append(f"Trained here on the train part of each split, tested on its test part: {', '.join(within)}.")
    if leaked := [f"{r.method.title} on {r.dataset.title}" for r in found if r.leaked]:
        rest = "" if card.pairs == "trained on" else ", and does not compete"
        notes.append(f"{LEAK} has seen human labels of that set{rest}: {'; '.join(leaked)}.")
    unfitted = any((r.over("fit_converged", hows[r.dataset.name]) == 0).any() for r in found)
    if unfitted and {"plcc_logistic", "rmse"} & set(card.metrics):
        notes.append(f"{RAW} the logistic fit did not converge there: raw PLCC, and RMSE of a line.")
    sizes = {d.title: {r.n(hows[name]) for r in found if r.dataset.name == name} - {0} for name, d in sets.items()}
    counts = "; ".join(
        f"{title} {'/'.join(str(n) for n in sorted(s, reverse=True))}" for title, s in sizes.items() if s
    )
    directions = "higher is better" + (", but for RMSE" if "rmse" in card.metrics else "")
    notes.append(
        f"Protocol: {HOW[card.statistic]}, signed so that 1 is perfect ({directions}); PLCC after a four-parameter "
        f"logistic. n: {counts}. Bold: the best and all not significantly worse (Meng-Rosenthal-Rubin, "
        "Holm-corrected, 5%); underlined: the next. – is undefined (constant scores or too few images)."
    )
    return notes


def _deviation(r: Result, found: list[Result], metric: str, how: str, space: Workspace) -> float:
    """Standard deviation over the methods of the table that differ from this one in the seed alone."""
    if not r.method.variant:
        return 0.0
    like = space.config.variant(r.method.variant).model_copy(update={"seed": 0})
    made = ("module", "features", "arguments")  # of the variant's encoder
    values = [
        other.value(metric, how)
        for other in found
        if other.dataset == r.dataset
        and other.method.variant
        and all(getattr(other.method, k) == getattr(r.method, k) for k in made)
        and space.config.variant(other.method.variant).model_copy(update={"seed": 0}) == like
    ]
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _reported(card: TableCard, space: Workspace, found: list[Result], hows: dict, indexes: dict) -> tuple[Table, str]:
    """The block of reproduced beside reported values, and how often each status comes."""
    rows, statuses = [], []
    for r in sorted(found, key=lambda r: (r.dataset.title.casefold(), r.method.title.casefold())):
        name, references = r.dataset.name, 0
        scored = len(indexes[name]) - r.missed(indexes[name])
        incomplete = "" if scored == r.dataset.images.count else f"{scored} of {r.dataset.images.count} images"
        train = space.config.variant(variant) if (variant := space.variant_of(r.method)) else None
        for metric in METRICS:
            for _, theirs in reported.references(card.reported, r.method, r.dataset, metric).iterrows():
                how = hows[name] if theirs["statistic"] == "other" else theirs["statistic"]
                ours, references = r.value(metric, how), references + 1
                if r.refused or np.isnan(ours):
                    status, why = "not run", r.refused or f"this set has no {HOW[how]}"
                else:
                    spread = _deviation(r, found, metric, how, space)
                    status, why = reported.status(ours, theirs, r.method, incomplete, train, spread)
                if status == "off":
                    names = [
                        f"{m}/{d}" for m in (r.method.name, *r.method.reported_as) for d in (name, r.dataset.title)
                    ]
                    why = next((card.remarks[k] for k in [*names, r.method.name] if k in card.remarks), why)
                statuses.append(status)
                rows.append(
                    {
                        "Method": r.method.title,
                        "Dataset": r.dataset.title,
                        "Metric": METRICS[metric],
                        "Over": how,
                        "Reproduced": ours,
                        "Reported": float(theirs["value"]),
                        "Difference": ours - float(theirs["value"]),
                        "Status": status,
                        "Remark": why,
                        "Source": f"{theirs['source']} [{theirs['confidence']} confidence]",
                    }
                )
        if not references:
            statuses.append("not run" if r.refused else "no reference")
    counts = ", ".join(f"{statuses.count(s)} {s}" for s in dict.fromkeys(statuses))
    note = (
        f"match: within {reported.RELEASED} of released weights, {reported.PORTED} of ported code, "
        f"{reported.RETRAINED} (or two standard deviations over seeds) of a model trained here. "
        "Compared over the statistic that the source used."
    )
    title = f"{card.title}: reproduced beside reported"
    return Table(title, f"{len(rows)} published values.", pd.DataFrame(rows), [note]), counts
