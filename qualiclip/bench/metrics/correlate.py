"""Correlations of a score file with the labels of its dataset.

`python -m qualiclip.bench.metrics.correlate baselines/piqe.yaml datasets/agiqa3k.yaml --scores ... --index ...`
Columns: split (all; split_00 .. split_09 and official: test parts), metric, value, n, reason. A method with a model per
split has no value of `all`. Signed: 1 is a perfect method, -1 a perfect one whose direction is stated wrongly.
Undefined values (constant scores or labels, fewer than `MIN_N` images) are empty. `<metric>_low` and `<metric>_high`
are 95% confidence limits. Where images share a reference or prompt, the limits count with it (limits.py), and `groups`
is how many of them a part holds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, pearsonr, spearmanr

from qualiclip.bench import job
from qualiclip.bench.absence import reason_of
from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import (
    METRICS,
    NO_LABELS,
    WHOLE,
    check_scores,
    has_labels,
    oriented,
    read_index,
    read_scores,
    refusal,
    refused_metrics,
    scores_of_part,
    split_columns,
    test_parts,
    write_csv,
)
from qualiclip.bench.metrics.fit import Fit, fit
from qualiclip.bench.metrics.limits import bootstrapped, closed_form, clustered, clusters_of

MIN_N = 10
MIN_GROUP = 3
VALUES = ("srcc", "krcc", "plcc", "plcc_logistic", "rmse", "fitted")
LIMITS = ("srcc", "plcc", "plcc_logistic")


def group_srcc(score: np.ndarray, mos: np.ndarray, group: np.ndarray) -> float:
    """Mean SRCC within groups of at least `MIN_GROUP` images whose scores and labels vary."""
    ranks = pd.DataFrame({"s": score, "m": mos}).groupby(group).rank()
    centered = ranks - ranks.groupby(group).transform("mean")
    sums = centered.assign(sm=centered["s"] * centered["m"], ss=centered["s"] ** 2, mm=centered["m"] ** 2)
    sums = sums.groupby(group).sum().assign(n=pd.Series(group).value_counts())
    sums = sums[(sums["n"] >= MIN_GROUP) & (sums["ss"] > 0) & (sums["mm"] > 0)]
    return float((sums["sm"] / np.sqrt(sums["ss"] * sums["mm"])).mean())


def measures(
    score: np.ndarray, mos: np.ndarray, clusters: np.ndarray | None = None
) -> tuple[dict[str, float], Fit | None]:
    """All metrics of oriented scores against oriented labels, each (n,) and finite, and the fitted curve.

    clusters: (n,) numbers of what images share; None for independent images. Undefined metrics are NaN. Where no
    rising curve beats a constant, `fitted` is 0, `plcc_logistic` is the raw PLCC, and `rmse` that of the constant.
    """
    names = [*VALUES, *(f"{m}_{end}" for m in LIMITS for end in ("low", "high"))]
    if len(score) < MIN_N or np.ptp(score) == 0 or np.ptp(mos) == 0:
        return dict.fromkeys(names, np.nan), None
    curve = fit(score, mos)
    mapped = curve(score) if curve else score
    values = {
        "srcc": spearmanr(score, mos).statistic,
        "krcc": kendalltau(score, mos, method="asymptotic").statistic,
        "plcc": pearsonr(score, mos).statistic,
        "plcc_logistic": pearsonr(mapped, mos).statistic,
        "rmse": float(np.sqrt(np.square(mapped - mos).mean())) if curve else float(np.std(mos)),
        "fitted": float(curve is not None),
    }
    for metric in LIMITS:
        if clusters is None:
            limits = closed_form(metric, values[metric], len(score))
        else:
            limits = clustered(mapped if metric == "plcc_logistic" else score, mos, clusters, ranks=metric == "srcc")
        values |= dict(zip((f"{metric}_low", f"{metric}_high"), limits, strict=True))
    return values, curve


def correlations(
    scores: pd.DataFrame, index: pd.DataFrame, method: MethodCard, dataset: DatasetCard, resamples: int = 0
) -> Iterator[tuple[str, str, float, int]]:
    """(split, metric, value, n) of a score file whose rows are those of the index."""
    mos, per_split = oriented(index["mos"], dataset.labels), bool(split_columns(scores))
    clusters = clusters_of(index)
    for split, inside in test_parts(index).items():
        if split == WHOLE and per_split:
            continue  # each split has a model of its own, none of them is one of the whole set
        s = scores_of_part(scores, split, method)
        rows = inside & np.isfinite(s)
        own = None if clusters is None else clusters[rows]
        values, curve = measures(s[rows], mos[rows], own)
        if own is not None:
            values["groups"] = float(len(np.unique(own)))
        if "group" in index:
            values["srcc_within_group"] = group_srcc(s[rows], mos[rows], index["group"].to_numpy()[rows])
        # the curve, for plots and tests
        if curve and (split == WHOLE or per_split):
            values |= {f"fit_{k}": v for k, v in vars(curve).items()}
        # additional limits, if asked for
        if split == WHOLE and resamples and np.isfinite(values["srcc"]):
            for metric in ("srcc", "plcc"):
                limits = bootstrapped(s[rows], mos[rows], resamples, metric == "srcc", own)
                values |= dict(zip((f"{metric}_bootstrap_low", f"{metric}_bootstrap_high"), limits, strict=True))
        for metric, value in values.items():
            yield split, metric, value, int(rows.sum())


def metrics_of(
    scores: Path, index: Path, method: MethodCard, dataset: DatasetCard, allow_errors: bool = False, resamples: int = 0
) -> pd.DataFrame:
    """The metrics file of one score file; of what could not be run or is not here, one row that says why.

    Raises CardError for a set without labels, ValueError for a score file that cannot be used.
    """
    if dataset.labels is None:
        raise CardError(f"{dataset.path}: a set without labels has no correlations")
    if reason := reason_of(index):
        return refused_metrics(reason)
    images = read_index(index)
    table = read_scores(scores, images)
    if reason := refusal(table) or ("" if has_labels(images) else NO_LABELS):
        return refused_metrics(reason)
    check_scores(table, images, scores, allow_errors)
    rows = list(correlations(table, images, method, dataset, resamples))
    return pd.DataFrame([(*row, "") for row in rows], columns=METRICS)


def main() -> None:
    parser = job.parser("Correlate a score file with labels.", "method", "dataset", "--index", "--out")
    parser.add_argument("--scores", type=Path, required=True, help="the score file")
    parser.add_argument("--allow-errors", action="store_true", help="leave out images without a score")
    parser.add_argument("--bootstrap", type=int, default=0, metavar="N", help="also limits from N resamples")
    args = parser.parse_args()
    method, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
    try:
        table = metrics_of(args.scores, args.index, method, dataset, args.allow_errors, args.bootstrap)
    except ValueError as e:
        sys.exit(f"error: {e}")
    write_csv(table, args.out)


if __name__ == "__main__":
    job.run(main)
