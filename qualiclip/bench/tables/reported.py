"""Published values of methods, and how far ours are from them.

workflow/reported/<file>.csv: method, dataset, metric, value, statistic, protocol, confidence, source. `method` and
`dataset` are the names in the source; a card answers to its title, its pyiqa name and its `aliases`. `statistic` says
over what the value was taken (whole, median, official), or `other` where that is none of ours or unknown. A reference
is compared with our value of the same statistic.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.tables.kinds import REPORTED
from qualiclip.bench.tables.results import STATISTICS, Result
from qualiclip.bench.tables.table import Table
from qualiclip.bench.workspace import Workspace
from qualiclip.config import TrainConfig

COLUMNS = ["method", "dataset", "metric", "value", "statistic", "protocol", "confidence", "source"]
OTHER = "other"  # a statistic that is none of ours, or unknown
RELEASED, PORTED, RETRAINED = 0.002, 0.01, 0.015  # tolerances: released weights, ported code, trained here
NOT_THE_METHOD = {"seed", "precision", "checkpoint_every"}  # keys of TrainConfig that do not define a method


@cache
def read(name: str) -> pd.DataFrame:
    """One file of published values, validated. Raises CardError."""
    path = REPORTED / f"{name}.csv"
    try:
        table = pd.read_csv(path)
    except (OSError, pd.errors.ParserError) as e:
        raise CardError(f"{path}: {e}") from e
    if list(table.columns) != COLUMNS:
        raise CardError(f"{path}: columns must be {', '.join(COLUMNS)}")
    statistics = {*STATISTICS, OTHER}
    if table.isna().any(axis=None) or not set(table["statistic"]) <= statistics:
        raise CardError(f"{path}: a value is empty, or a statistic is none of {', '.join(sorted(statistics))}")
    return table.assign(method=table["method"].map(_spelling), dataset=table["dataset"].map(_spelling), file=name)


def _spelling(name: str) -> str:
    """A name without case and punctuation: 'IL-NIQE' and 'ilniqe' are the same, 'CLIPIQA+' and 'clip-iqa+' too."""
    return "".join(c for c in name.casefold() if c.isalnum() or c == "+")


def references(files: list[str], m: MethodCard, d: DatasetCard, metric: str) -> pd.DataFrame:
    """Published values of one method, dataset and metric; for each statistic, that of the first file alone."""
    if not files:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat([read(f) for f in files], ignore_index=True)
    names = {_spelling(n) for n in (m.title, m.pyiqa, *m.aliases) if n}
    rows = table["method"].isin(names) & table["dataset"].isin({_spelling(d.title), _spelling(d.name)})
    return table[rows & (table["metric"] == metric)].drop_duplicates("statistic")


def tolerance(m: MethodCard, deviation: float = 0.0) -> float:
    """Allowed difference in a correlation. deviation: of a method trained here, over its seeds."""
    if m.variant or m.features_of:
        return max(RETRAINED, 2 * deviation)
    return RELEASED if m.pyiqa or m.scores else PORTED


def status(
    ours: float, theirs: pd.Series, m: MethodCard, incomplete: str, train: TrainConfig | None, deviation: float = 0.0
) -> tuple[str, str]:
    """(status, reason) of one value beside its reference. Statuses: match, off, other protocol.

    incomplete: what is missing of the set, or "". train: the training of a variant.
    """
    # another protocol proves nothing
    if theirs["statistic"] == OTHER:
        return "other protocol", theirs["protocol"]
    if incomplete:
        return "other protocol", incomplete
    # nor does another training: theirs is the default, or no step at all
    default = TrainConfig(epochs=None, steps=0, norm_batches=0) if train and train.steps == 0 else TrainConfig()
    changed = [k for k in TrainConfig.model_fields if train and getattr(train, k) != getattr(default, k)]
    changed = [k for k in changed if k not in NOT_THE_METHOD]
    if changed:
        return "other protocol", f"trained with other {', '.join(changed)}"
    within = abs(ours - theirs["value"]) <= tolerance(m, deviation) + 1e-9
    return ("match", "") if within else ("off", "not explained yet")


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


def _remark(card: TableCard, r: Result, otherwise: str) -> str:
    """What the table's card says of a value that is off."""
    datasets = (r.dataset.name, r.dataset.title)
    keys = [f"{m}/{d}" for m in (r.method.name, *r.method.aliases) for d in datasets]
    return next((card.remarks[k] for k in [*keys, r.method.name] if k in card.remarks), otherwise)


def _compare(
    card: TableCard,
    workspace: Workspace,
    r: Result,
    results: list[Result],
    metric: str,
    theirs: pd.Series,
    statistic: str,
    incomplete: str,
) -> tuple[float, str, str]:
    """(our value, status, reason) of one result beside one reference, over the same statistic."""
    ours = r.value(metric, statistic)
    if r.refused or np.isnan(ours):
        return ours, "not run", r.refused or f"this set has no {STATISTICS[statistic]}"
    variant = workspace.variant_of(r.method)
    train = workspace.config.variant(variant) if variant else None
    deviation = _deviation(r, results, metric, statistic, workspace)
    state, reason = status(ours, theirs, r.method, incomplete, train, deviation)
    return ours, state, _remark(card, r, reason) if state == "off" else reason


def reported_block(
    card: TableCard,
    workspace: Workspace,
    results: list[Result],
    statistics: dict[str, str],
    indexes: dict[str, pd.DataFrame],
    metrics: dict[str, str],
) -> tuple[Table, str]:
    """The block of reproduced beside reported values, and how often each status occurs.

    statistics, indexes: by the name of the dataset. metrics: name -> title.
    """
    rows, statuses = [], []
    for r in sorted(results, key=lambda r: (r.dataset.title.casefold(), r.method.title.casefold())):
        name, compared = r.dataset.name, 0
        scored = len(indexes[name]) - r.failed(indexes[name])
        incomplete = "" if scored == r.dataset.images.count else f"{scored} of {r.dataset.images.count} images"
        for metric, title in metrics.items():
            for _, theirs in references(card.reported, r.method, r.dataset, metric).iterrows():
                statistic = statistics[name] if theirs["statistic"] == OTHER else theirs["statistic"]
                ours, state, reason = _compare(card, workspace, r, results, metric, theirs, statistic, incomplete)
                compared += 1
                statuses.append(state)
                rows.append(
                    {
                        "Method": r.method.title,
                        "Dataset": r.dataset.title,
                        "Metric": title,
                        "Over": statistic,
                        "Reproduced": ours,
                        "Reported": float(theirs["value"]),
                        "Difference": ours - float(theirs["value"]),
                        "Status": state,
                        "Remark": reason,
                        "Source": f"{theirs['source']} [{theirs['confidence']} confidence]",
                    }
                )
        if not compared:
            statuses.append("not run" if r.refused else "no reference")
    counts = ", ".join(f"{statuses.count(s)} {s}" for s in dict.fromkeys(statuses))
    note = (
        f"match: within {RELEASED} of released weights, {PORTED} of ported code, "
        f"{RETRAINED} (or two standard deviations over seeds) of a model trained here. "
        "Compared over the statistic that the source used."
    )
    title = f"{card.title}: reproduced beside reported"
    return Table(title, f"{len(rows)} published values.", pd.DataFrame(rows), [note]), counts
