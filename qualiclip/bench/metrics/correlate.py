"""Correlations of a score file with the labels of its dataset.

`python -m qualiclip.bench.metrics.correlate baselines/piqe.yaml datasets/agiqa3k.yaml --scores ... --index ...`
Columns: split (all; split_00 .. split_09 and official: test parts), metric, value, n, reason. A method with a model per
split has no value of `all`. Signed: 1 is a perfect method, -1 a perfect one whose direction is stated wrongly.
Undefined values (constant scores or labels, fewer than `MIN_N` images) are empty. `<metric>_low` and `<metric>_high`
are 95% confidence limits.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit
from scipy.stats import bootstrap, kendalltau, norm, pearsonr, spearmanr

from qualiclip.bench import job
from qualiclip.bench.absence import reason_of
from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import (
    METRICS,
    WHOLE,
    check_scores,
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

MIN_N = 10
MIN_GROUP = 3
CONFIDENCE = 0.95
VALUES = ("srcc", "krcc", "plcc", "plcc_logistic", "rmse", "fit_converged")
LIMITS = ("srcc", "plcc", "plcc_logistic")


def logistic(x: np.ndarray, top: float, bottom: float, middle: float, width: float) -> np.ndarray:
    """Four-parameter logistic of VQEG: bottom + (top - bottom) / (1 + exp(-(x - middle) / |width|))."""
    return bottom + (top - bottom) * expit((x - middle) / (np.abs(width) + 1e-12))


def _jacobian(x: np.ndarray, top: float, bottom: float, middle: float, width: float) -> np.ndarray:
    w = np.abs(width) + 1e-12
    e = expit((x - middle) / w)
    steep = (top - bottom) * e * (1 - e) / w
    return np.stack([e, 1 - e, -steep, -steep * (x - middle) / w * np.sign(width)], 1)


@dataclass(frozen=True)
class Fit:
    """A logistic curve. Called on scores, it returns values on the scale of the labels."""

    top: float
    bottom: float
    middle: float
    width: float

    def __call__(self, score: np.ndarray) -> np.ndarray:
        return logistic(score, *astuple(self))

    @property
    def direction(self) -> float:
        """+1 rising, -1 falling. A wrongly stated direction is fitted just as well; only this sign shows it."""
        return float(np.sign(self.top - self.bottom))


def fit(score: np.ndarray, mos: np.ndarray) -> Fit | None:
    """The least-squares logistic over several starts, or None where no start converges.

    score, mos: (n,), neither constant. The first starts are narrow: one rising (as in pyiqa and VQEG's script, which
    may stop in a worse minimum), one falling. Wide ones follow where both fail.
    """
    center, scale = score.mean(), score.std()
    x = (score - center) / scale
    best, best_error = None, np.inf
    for width in (0.25, 1.0):
        for ends in ((mos.max(), mos.min()), (mos.min(), mos.max())):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", OptimizeWarning)  # about the covariance, which is not used
                warnings.filterwarnings("ignore", "overflow encountered in matmul", RuntimeWarning)  # likewise
                try:
                    p, _ = curve_fit(logistic, x, mos, p0=[*ends, 0.0, width], jac=_jacobian, maxfev=2000)
                except RuntimeError:  # this start did not converge
                    continue
            y = logistic(x, *p)
            error = float(np.square(y - mos).mean())
            if error < best_error and np.ptp(y) > 0:
                best, best_error = Fit(p[0], p[1], center + scale * p[2], scale * (abs(p[3]) + 1e-12)), error
        if best:
            break
    return best


def interval(metric: str, r: float, n: int) -> tuple[float, float]:
    """Closed-form confidence limits of a correlation of n images.

    Fisher's z for Pearson's r; for Spearman's, its variance times 1 + r^2/2 (Bonett and Wright,
    Psychometrika 2000). The limits of `plcc_logistic` take the fit as given, which is a little too narrow.
    """
    variance = (1 + (r**2 / 2 if metric.startswith("srcc") else 0)) / (n - 3)
    z = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    reach = norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(variance)
    return float(np.tanh(z - reach)), float(np.tanh(z + reach))


def bootstrap_interval(metric: str, score: np.ndarray, mos: np.ndarray, resamples: int) -> tuple[float, float]:
    """Percentile bootstrap limits of srcc or plcc: images drawn with replacement, always the same draws."""
    function = {"srcc": spearmanr, "plcc": pearsonr}[metric]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a draw of equal scores has no correlation and is left out
        result = bootstrap(
            (score, mos),
            lambda s, m: function(s, m).statistic,
            paired=True,
            vectorized=False,
            n_resamples=resamples,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        )
    draws = result.bootstrap_distribution
    low, high = np.nanquantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def group_srcc(score: np.ndarray, mos: np.ndarray, group: np.ndarray) -> float:
    """Mean SRCC within groups of at least `MIN_GROUP` images whose scores and labels vary."""
    ranks = pd.DataFrame({"s": score, "m": mos}).groupby(group).rank()
    centered = ranks - ranks.groupby(group).transform("mean")
    sums = centered.assign(sm=centered["s"] * centered["m"], ss=centered["s"] ** 2, mm=centered["m"] ** 2)
    sums = sums.groupby(group).sum().assign(n=pd.Series(group).value_counts())
    sums = sums[(sums["n"] >= MIN_GROUP) & (sums["ss"] > 0) & (sums["mm"] > 0)]
    return float((sums["sm"] / np.sqrt(sums["ss"] * sums["mm"])).mean())


def measures(score: np.ndarray, mos: np.ndarray) -> tuple[dict[str, float], Fit | None]:
    """All metrics of oriented scores against oriented labels, each (n,) and finite, and the fitted curve.

    Undefined metrics are NaN. Where no fit converges, `fit_converged` is 0, `plcc_logistic` is the raw PLCC, and
    `rmse` that of the least-squares line.
    """
    names = [*VALUES, *(f"{m}_{end}" for m in LIMITS for end in ("low", "high"))]
    if len(score) < MIN_N or np.ptp(score) == 0 or np.ptp(mos) == 0:
        return dict.fromkeys(names, np.nan), None
    curve = fit(score, mos)
    plcc = pearsonr(score, mos).statistic
    mapped = curve(score) if curve else np.polyval(np.polyfit(score, mos, 1), score)
    values = {
        "srcc": spearmanr(score, mos).statistic,
        "krcc": kendalltau(score, mos, method="asymptotic").statistic,
        "plcc": plcc,
        "plcc_logistic": curve.direction * np.corrcoef(mapped, mos)[0, 1] if curve else plcc,
        "rmse": float(np.sqrt(np.square(mapped - mos).mean())),
        "fit_converged": float(curve is not None),
    }
    for metric in LIMITS:
        values[f"{metric}_low"], values[f"{metric}_high"] = interval(metric, values[metric], len(score))
    return values, curve


def correlations(
    scores: pd.DataFrame, index: pd.DataFrame, method: MethodCard, dataset: DatasetCard, resamples: int = 0
) -> Iterator[tuple[str, str, float, int]]:
    """(split, metric, value, n) of a score file whose rows are those of the index."""
    mos, per_split = oriented(index["mos"], dataset.labels), bool(split_columns(scores))
    for split, inside in test_parts(index).items():
        if split == WHOLE and per_split:
            continue  # each split has a model of its own, none of them is one of the whole set
        s = scores_of_part(scores, split, method)
        rows = inside & np.isfinite(s)
        values, curve = measures(s[rows], mos[rows])
        if "group" in index:
            values["srcc_within_group"] = group_srcc(s[rows], mos[rows], index["group"].to_numpy()[rows])
        # the curve, for plots and tests
        if curve and (split == WHOLE or per_split):
            values |= {f"fit_{k}": v for k, v in vars(curve).items()}
        # additional limits, if asked for
        if split == WHOLE and resamples and np.isfinite(values["srcc"]):
            for metric in ("srcc", "plcc"):
                limits = bootstrap_interval(metric, s[rows], mos[rows], resamples)
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
    if reason := refusal(table):
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
