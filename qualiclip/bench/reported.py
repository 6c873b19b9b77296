"""Published values, and how far ours are from them.

workflow/reported/<file>.csv: method, dataset, metric, value, statistic, protocol, confidence, source. `method`
and `dataset` are the names in the source; a card answers to its title, its pyiqa name and its `reported_as`.
`statistic` says over what the value was taken (whole, median, official), `other` where that is none of
ours or not known. A reference is compared with our value of the same statistic.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

from qualiclip.bench.card import CardError
from qualiclip.bench.cards import DatasetCard, MethodCard
from qualiclip.config import TrainConfig

REPORTED = Path("workflow/reported")
COLUMNS = ["method", "dataset", "metric", "value", "statistic", "protocol", "confidence", "source"]
STATISTICS = {"whole", "median", "official", "other"}
RELEASED, PORTED, RETRAINED = 0.002, 0.01, 0.015  # tolerances: released weights, ported code, trained here
NOT_THE_METHOD = {"seed", "precision", "checkpoint_every"}  # of a TrainConfig


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
    if table.isna().any(axis=None) or not set(table["statistic"]) <= STATISTICS:
        raise CardError(f"{path}: a value is empty, or a statistic is none of {', '.join(sorted(STATISTICS))}")
    return table.assign(method=table["method"].map(_key), dataset=table["dataset"].map(_key), file=name)


def _key(name: str) -> str:
    """Spelling apart: 'IL-NIQE' is 'ilniqe', 'CLIPIQA+' is 'clip-iqa+'."""
    return "".join(c for c in name.casefold() if c.isalnum() or c == "+")


def references(files: list[str], m: MethodCard, d: DatasetCard, metric: str) -> pd.DataFrame:
    """Published values of one method, dataset and metric; of each statistic the first file's only."""
    if not files:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat([read(f) for f in files], ignore_index=True)
    names = {_key(n) for n in (m.title, m.pyiqa, *m.reported_as) if n}
    found = table["method"].isin(names) & table["dataset"].isin({_key(d.title), _key(d.name)})
    return table[found & (table["metric"] == metric)].drop_duplicates("statistic")


def tolerance(m: MethodCard, deviation: float = 0.0) -> float:
    """Allowed difference in a correlation; `deviation`: of a trained method, over its seeds."""
    if m.variant or m.features:
        return max(RETRAINED, 2 * deviation)
    return RELEASED if m.pyiqa or m.scores else PORTED


def status(
    ours: float, theirs: pd.Series, m: MethodCard, incomplete: str, train: TrainConfig | None, deviation: float = 0.0
) -> tuple[str, str]:
    """(status, why) of one value beside its reference.

    incomplete: what of the set is missing, or "". train: the training of a variant. Statuses: match, off,
    other protocol.
    """
    if theirs["statistic"] == "other":
        return "other protocol", theirs["protocol"]
    if incomplete:
        return "other protocol", incomplete
    theirs_train = TrainConfig(epochs=None, steps=0) if train and train.steps == 0 else TrainConfig()  # or as it came
    changed = [k for k in TrainConfig.model_fields if train and getattr(train, k) != getattr(theirs_train, k)]
    changed = [k for k in changed if k not in NOT_THE_METHOD]
    if changed:
        return "other protocol", f"trained with other {', '.join(changed)}"
    within = abs(ours - theirs["value"]) <= tolerance(m, deviation) + 1e-9
    return ("match", "") if within else ("off", "not explained yet")
