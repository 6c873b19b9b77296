"""Results in tidy form: one line per method, dataset, metric and statistic.

The CSV of every table of correlations or of an ablation is such a file; results/<scale>/results.csv holds them all,
with a column that names the table, since marks depend on the methods that a table compares. The report is made from it.
`python -m qualiclip.bench.tables.tidy results/mini/tables/*.csv --out results/mini/results.csv`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from qualiclip.bench import job
from qualiclip.bench.formats import write_csv
from qualiclip.bench.metrics.correlate import LIMITS
from qualiclip.bench.tables.marks import Column
from qualiclip.bench.tables.reported import Comparison
from qualiclip.bench.tables.results import STATISTICS, Result

METRICS = {
    "srcc": "SRCC",
    "plcc": "PLCC (raw)",
    "plcc_logistic": "PLCC",
    "krcc": "KRCC",
    "rmse": "RMSE",
    "srcc_within_group": "SRCC in group",
}
COLUMNS = [
    "method",  # name of the card
    "dataset",  # name of the card
    "metric",
    "statistic",  # whole, median (over test parts) or official
    "value",
    "sd",  # over the test parts
    "low",  # 95% limits of this very value; a median over parts has none, but for a model per split
    "high",
    "n",  # images; of test parts, the median
    "groups",  # references or prompts behind them; 0: the images stand alone
    "mark",  # best or second, in the table
    "reason",  # why there is no value, why it is not what its name says, or why it does not compete
    "reported_low",  # what sources report; both ends are equal where they agree
    "reported_high",
    "tolerance",  # difference up to which ours matches; empty where the protocols differ
    "status",
    "source",
]


def _reason(r: Result, metric: str, statistic: str) -> str:
    """Why there is no value, why it is not what its name says, or why it does not compete."""
    if r.refused:
        return f"not run: {r.refused}"
    if not np.isfinite(r.value(metric, statistic)):
        return "constant scores, or too few images"
    reasons = []
    if metric in ("plcc_logistic", "rmse") and r.unfitted(statistic):
        reasons.append("no rising curve beats a constant: raw PLCC, RMSE of the constant")
    if r.leaked:
        reasons.append("has seen human labels of this set")
    if r.method.reads_labels:
        reasons.append("reads the labels")
    if r.method.family in ("control", "full-reference"):
        reasons.append(f"{r.method.family}, does not compete")
    return "; ".join(reasons)


def _row(c: Column, name: str, metric: str, statistic: str, mark: str) -> dict[str, object]:
    """One line. The column is that of the dataset and metric; `statistic` may be another than it prints."""
    r, limits = c.results[name], (np.nan, np.nan)
    if metric in LIMITS and (statistic != "median" or r.per_split):
        limits = c.limits(name) if r.per_split else r.limits(metric, statistic)
    return {
        "method": name,
        "dataset": c.dataset.name,
        "metric": metric,
        "statistic": statistic,
        "value": r.value(metric, statistic),
        "sd": float(r.over(metric, statistic).std(ddof=1)) if statistic == "median" else np.nan,
        "low": limits[0],
        "high": limits[1],
        "n": r.n(statistic),
        "groups": r.groups(statistic),
        "mark": mark,
        "reason": _reason(r, metric, statistic),
    }


def _published(compared: Sequence[Comparison]) -> dict[tuple[str, str, str, str], dict[str, object]]:
    """(method, dataset, metric, statistic) -> what is reported of it."""
    return {
        (c.result.method.name, c.result.dataset.name, c.metric, c.statistic): {
            "reported_low": c.reference.low,
            "reported_high": c.reference.high,
            "tolerance": c.allowed,
            "status": c.status,
            "source": " ".join(dict.fromkeys(c.reference.rows["url"])),
        }
        for c in compared
    }


def tidy(columns: list[Column], compared: Sequence[Comparison] = (), marked: bool = True) -> pd.DataFrame:
    """All numbers behind the columns of a table: every metric, over the statistic that is printed and the whole set.

    compared: what is reported of them. Its statistics have lines of their own, if the table prints others. marked:
    whether the table marks what stands out.
    """
    rows, published = [], _published(compared)
    marks = {(c.dataset.name, c.metric): c.marks for c in columns if marked}
    for dataset, first in {c.dataset.name: c for c in columns}.items():
        for metric in METRICS:
            c = Column(first.dataset, metric, first.wanted, first.results, first.index)
            if metric == "srcc_within_group" and not first.dataset.labels.group:
                continue
            for name, r in c.results.items():
                printed = c.statistic(name)
                statistics = [printed, *([] if r.per_split else ["whole"])]
                statistics += [s for s in STATISTICS if (name, dataset, metric, s) in published]
                for statistic in dict.fromkeys(statistics):
                    mark = marks.get((dataset, metric), {}).get(name, "") if statistic == printed else ""
                    row = _row(c, name, metric, statistic, mark)
                    rows.append(row | published.get((name, dataset, metric, statistic), {}))
    return pd.DataFrame(rows, columns=COLUMNS)


def read_tidy(path: Path) -> pd.DataFrame:
    """A tidy file; texts that are not there are empty."""
    texts = ["mark", "reason", "status", "source"]
    return pd.read_csv(path, dtype=dict.fromkeys(texts, str)).fillna(dict.fromkeys(texts, ""))


def collected(tables: list[Path]) -> pd.DataFrame:
    """The CSV files of several tables as one, with the name of the table in front."""
    parts = [read_tidy(path).assign(table=path.stem) for path in tables]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    return whole.reindex(columns=["table", *COLUMNS])


def main() -> None:
    parser = job.parser("Collect the results of all tables.", "--out")
    parser.add_argument("tables", nargs="*", type=Path, help="their CSV files")
    args = parser.parse_args()
    write_csv(collected(args.tables), args.out)


if __name__ == "__main__":
    job.run(main)
