"""Published values of methods, and how far ours are from them.

workflow/reported/*.csv: method, dataset, metric, value, statistic, protocol, reading, source, url. `method` and
`dataset` are the names in the source; a card answers to its title, its pyiqa name and its `aliases`, to a name that
ends in "(supervised)" only on sets that it learns from. `statistic` says over what the value was taken (whole, median,
official), or `other` where that is none of ours or unknown. A value is compared with ours of the same statistic, at the
digits of its source. Where sources disagree, ours is compared with the range of their values.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.table import Metric, TableCard
from qualiclip.bench.tables.kinds import REPORTED
from qualiclip.bench.tables.results import STATISTICS, Result, statistic_of
from qualiclip.bench.tables.table import Table
from qualiclip.bench.workspace import Workspace
from qualiclip.config import TrainConfig

COLUMNS = ["method", "dataset", "metric", "value", "statistic", "protocol", "reading", "source", "url"]
READINGS = {  # how a value was read, the most certain first -> in words
    "first-hand": "",
    "by eye": "read by eye off a picture",
    "second-hand": "second-hand",
}
OTHER = "other"  # a statistic that is none of ours, or unknown
SUPERVISED = "(supervised)"  # end of a name in the source: trained on the same set
STATUSES = ("match", "range", "off", "other protocol")
RELEASED, PORTED, RETRAINED = 0.002, 0.01, 0.015  # tolerances: released weights, ported code, trained here
NOT_THE_METHOD = {"seed", "precision", "checkpoint_every"}  # keys of TrainConfig that do not define a method


# Published values.


def _spelling(name: str) -> str:
    """A name without case and punctuation: 'IL-NIQE' and 'ilniqe' are the same, 'CLIPIQA+' and 'clip-iqa+' too."""
    return "".join(c for c in name.casefold() if c.isalnum() or c == "+")


def _read_file(path: Path) -> pd.DataFrame:
    """One file of published values, checked; `value` is the text of the source. Raises CardError."""
    try:
        table = pd.read_csv(path, dtype=str)
    except (OSError, pd.errors.ParserError) as e:
        raise CardError(f"{path}: {e}") from e
    if list(table.columns) != COLUMNS:
        raise CardError(f"{path}: columns must be {', '.join(COLUMNS)}")
    allowed = {"statistic": [*STATISTICS, OTHER], "reading": READINGS, "metric": get_args(Metric)}
    for column, names in allowed.items():
        if unknown := set(table[column].dropna()) - set(names):
            raise CardError(f"{path}: {column} {min(unknown)!r} is none of {', '.join(names)}")
    wrong = table.isna().any(axis=1) | pd.to_numeric(table["value"], errors="coerce").isna()
    wrong |= ~table["url"].str.match("https?://", na=False)
    if wrong.any():
        raise CardError(f"{path}: line {wrong.idxmax() + 2}: a cell is empty, no number or no address")
    return table


@cache
def read(folder: Path = REPORTED) -> pd.DataFrame:
    """All files of a folder, with the columns `number` and `digits`: the decimals that the source prints.

    A source that prints 0.2350 as 0.235 is known by its other values. Raises CardError.
    """
    files = sorted(folder.glob("*.csv"))
    table = pd.concat([_read_file(f) for f in files] or [pd.DataFrame(columns=COLUMNS)], ignore_index=True)
    digits = table["value"].str.partition(".")[2].str.len()
    table["digits"] = digits.groupby(table["source"]).transform("max").astype(int)
    spelled = {c: table[c].map(_spelling) for c in ("method", "dataset")}
    return table.assign(number=table["value"].astype(float), **spelled)


@dataclass(frozen=True)
class Reference:
    """What sources report for one method, dataset, metric and statistic; the most certain source comes first."""

    statistic: str
    rows: pd.DataFrame

    @property
    def low(self) -> float:
        return float(self.rows["number"].min())

    @property
    def high(self) -> float:
        return float(self.rows["number"].max())

    @property
    def agree(self) -> bool:
        """Whether all sources print the same, as far as the digits of the shortest allow to say."""
        return self.rows["number"].round(int(self.rows["digits"].min())).nunique() == 1

    @property
    def digits(self) -> int:
        """Decimals at which ours is compared."""
        return int(self.rows["digits"].min() if self.agree else self.rows["digits"].max())

    @property
    def text(self) -> str:
        """The value as the first source prints it, or the range of values that differ."""
        printed = [f"{row.number:.{row.digits}f}" for row in self.rows.sort_values("number").itertuples()]
        return (
            f"{self.rows['number'].iloc[0]:.{self.rows['digits'].iloc[0]}f}"
            if self.agree
            else f"{printed[0]} to {printed[-1]}"
        )


def references(m: MethodCard, d: DatasetCard, metric: str) -> list[Reference]:
    """What is reported of one method, dataset and metric: one reference per statistic.

    Values of another protocol come only where there is none of ours.
    """
    learns = m.learns_from(d)
    called = [n for n in (m.title, m.pyiqa, *m.aliases) if n and (learns or not n.endswith(SUPERVISED))]
    table = read(REPORTED)
    rows = table["method"].isin({_spelling(n) for n in called})
    rows &= table["dataset"].isin({_spelling(d.title), _spelling(d.name)}) & (table["metric"] == metric)
    found = table[rows].sort_values("reading", key=lambda r: r.map(list(READINGS).index), kind="stable")
    by_statistic = {s: Reference(s, g) for s, g in found.groupby("statistic", sort=False)}
    return [r for s, r in by_statistic.items() if s != OTHER or len(by_statistic) == 1]


# Ours beside them.


def tolerance(m: MethodCard, deviation: float = 0.0) -> float:
    """Allowed difference in a correlation. deviation: of a method trained here, over its seeds."""
    if m.variant or m.features_of:
        return max(RETRAINED, 2 * deviation)
    return RELEASED if m.pyiqa or m.scores or m.as_released else PORTED


@dataclass(frozen=True)
class Comparison:
    """Our value of one method, dataset and metric beside what is reported.

    ours: NaN where there is none. reach: how far ours may move, because of something that is not confirmed.
    status: one of `STATUSES`, or "not run". reason: why it is off, another protocol or not run. allowed: the
    difference up to which they match; NaN where they are not compared.
    """

    result: Result
    metric: str
    statistic: str
    ours: float
    reach: float
    reference: Reference
    status: str
    reason: str
    allowed: float = float("nan")

    @property
    def difference(self) -> float:
        """Ours, at the digits of the source, minus the nearest reported value."""
        ours = round(self.ours, self.reference.digits)
        return ours - min(max(ours, self.reference.low), self.reference.high)


def not_comparable(r: Result, reference: Reference, incomplete: str, train: TrainConfig | None) -> str:
    """Why a difference would prove nothing; empty if it proves something.

    incomplete: what is missing of the set, or "". train: the training of a variant.
    """
    if reference.statistic == OTHER:
        return "; ".join(dict.fromkeys(reference.rows["protocol"]))
    if incomplete:
        return incomplete
    # released weights that have seen images of the test parts
    if r.leaked and reference.statistic != "whole":
        return "its weights were not trained on these splits"
    # theirs is the default training, or no step at all
    default = TrainConfig(epochs=None, steps=0, norm_batches=0) if train and train.steps == 0 else TrainConfig()
    changed = [k for k in TrainConfig.model_fields if train and getattr(train, k) != getattr(default, k)]
    changed = [k for k in changed if k not in NOT_THE_METHOD]
    return f"trained with other {', '.join(changed)}" if changed else ""


def _deviation(r: Result, results: list[Result], metric: str, statistic: str, workspace: Workspace) -> float:
    """Standard deviation over the methods of the table that differ from this one in the seed alone."""
    if not r.method.variant:
        return 0.0
    unseeded = workspace.config.variant(r.method.variant).model_copy(update={"seed": 0})
    source = ("module", "features_of", "arguments")
    values = [
        other.value(metric, statistic)
        for other in results
        if other.dataset == r.dataset
        and other.method.variant
        and all(getattr(other.method, k) == getattr(r.method, k) for k in source)
        and workspace.config.variant(other.method.variant).model_copy(update={"seed": 0}) == unseeded
    ]
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _remark(remarks: dict[str, str], r: Result) -> str:
    """What the table's card says of a value that is off."""
    datasets = (r.dataset.name, r.dataset.title)
    keys = [f"{m}/{d}" for m in (r.method.name, *r.method.aliases) for d in datasets]
    return next((remarks[k] for k in [*keys, r.method.name] if k in remarks), "not explained yet")


def compare(
    r: Result,
    metric: str,
    reference: Reference,
    shown: str,
    incomplete: str,
    results: list[Result],
    workspace: Workspace,
    remarks: dict[str, str],
) -> Comparison:
    """One result beside one reference. shown: the statistic of the table, which another protocol is put beside."""
    statistic = shown if reference.statistic == OTHER else reference.statistic
    ours = r.value(metric, statistic)
    reach = r.dataset.split_reach if statistic == "median" else 0.0
    facts = (r, metric, statistic, ours, reach, reference)
    if r.refused or np.isnan(ours):
        return Comparison(*facts, "not run", r.refused or f"this set has no {STATISTICS[statistic]}")
    variant = workspace.variant_of(r.method)
    train = workspace.config.variant(variant) if variant else None
    if why := not_comparable(r, reference, incomplete, train):
        return Comparison(*facts, "other protocol", why)
    # certain values that lie close to each other match; where one of the two is a range, they may only overlap
    allowed = tolerance(r.method, _deviation(r, results, metric, statistic, workspace)) + reach
    within = abs(Comparison(*facts, "", "").difference) <= allowed + 1e-9
    if not within:
        return Comparison(*facts, "off", _remark(remarks, r), allowed)
    doubts = ["sources disagree"] * (not reference.agree) + ["row order of the split files unconfirmed"] * (reach > 0)
    return Comparison(*facts, "range" if doubts else "match", "; ".join(doubts), allowed)


def comparisons(
    workspace: Workspace, results: list[Result], card: TableCard, indexes: dict[str, pd.DataFrame]
) -> list[Comparison]:
    """All results of a table beside all that is reported of them. indexes: by the name of the dataset."""
    out = []
    for r in sorted(results, key=lambda r: (r.dataset.title.casefold(), r.method.title.casefold())):
        index = indexes[r.dataset.name]
        scored = len(index) - r.failed(index)
        incomplete = "" if scored == r.dataset.images.count else f"{scored} of {r.dataset.images.count} images"
        shown = statistic_of(index, card.statistic, r.per_split)
        for metric in get_args(Metric):
            for reference in references(r.method, r.dataset, metric):
                out.append(compare(r, metric, reference, shown, incomplete, results, workspace, card.remarks))
    return out


# The block below a table.


def _number(value: float, digits: int, sign: str = "") -> str:
    """A number at the digits of the source; never a negative zero."""
    rounded = round(value, digits) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:{sign if rounded else ''}.{digits}f}"


def _row(c: Comparison, title: str, sources: dict[str, int]) -> dict[str, str]:
    """One line of the block. sources: address -> number, which grows with every new one."""
    digits = c.reference.digits
    numbers = [sources.setdefault(url, len(sources) + 1) for url in dict.fromkeys(c.reference.rows["url"])]
    return {
        "Method": c.result.method.title,
        "Dataset": c.result.dataset.title,
        "Metric": title,
        "Over": c.statistic,
        "Reproduced": _number(c.ours, digits) + (f" ± {c.reach:g}" if c.reach else ""),
        "Reported": c.reference.text,
        "Difference": _number(c.difference, digits, "+"),
        "Status": c.status,
        "Remark": c.reason,
        "Source": ", ".join(f"[{n}]" for n in numbers),
    }


def _sources(numbers: dict[str, int]) -> list[str]:
    """One note per source: number, what it is, how it was read, address."""
    by_url = read(REPORTED).drop_duplicates(["url", "source", "reading"]).groupby("url")
    notes = []
    for url, number in numbers.items():
        rows = by_url.get_group(url)
        how = " or ".join(filter(None, (READINGS[r] for r in READINGS if (rows["reading"] == r).any())))
        mixed = "in part " if how and (rows["reading"] == "first-hand").any() else ""
        notes.append(f"[{number}] {rows['source'].iloc[0]}{f' ({mixed}{how})' if how else ''}: {url}")
    return notes


def reported_block(
    card: TableCard, results: list[Result], compared: list[Comparison], metrics: dict[str, str]
) -> tuple[Table, str]:
    """The block of reproduced beside reported values, and how often each status occurs.

    compared: of `comparisons`. metrics: name -> title. What was not run is only counted.
    """
    # the lines, by status
    answered = sorted((c for c in compared if c.status in STATUSES), key=lambda c: STATUSES.index(c.status))
    sources: dict[str, int] = {}
    rows = [_row(c, metrics[c.metric], sources) for c in answered]
    # the counts
    times = Counter(c.status for c in compared)
    with_value = {(c.result.method.name, c.result.dataset.name) for c in compared}
    counts = ", ".join(f"{times[s]} {s}" for s in STATUSES)
    counts += f"; {times['not run']} without a value of ours"
    counts += (
        f"; nothing is reported for {len(results) - len(with_value)} of {len(results)} pairs of method and dataset"
    )
    note = (
        f"match: within {RELEASED} of released weights, {PORTED} of ported code, {RETRAINED} (or two standard "
        "deviations over seeds) of a model trained here, at the digits of the source. range: within that of a range, "
        "because sources disagree or our own value is not certain. off: outside. Compared over the statistic that the "
        "source used. Difference: to the nearest reported value."
    )
    title = f"{card.title}: reproduced beside reported"
    caption = f"{len(rows)} values that are reported and were reproduced."
    return Table(title, caption, pd.DataFrame(rows), [note, *_sources(sources)]), counts
