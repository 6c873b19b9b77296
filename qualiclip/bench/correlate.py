"""Correlations of a score file with the labels of its dataset.

`python -m qualiclip.bench.correlate baselines/piqe.yaml datasets/agiqa3k.yaml --scores ... --index ...`
Columns: split (all, split_00 .. split_09 and official: test parts), metric, value, n. A method that is trained
within each split has no value of `all`. Signed: 1 is a perfect method, -1 a perfect one with its direction
stated wrongly. Undefined values (constant scores or labels, fewer than `MIN_N` images) are empty.
`<metric>_low` and `<metric>_high` are 95% confidence limits.
"""

from __future__ import annotations

import argparse
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

from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard, MethodCard
from qualiclip.bench.files import atomic, command
from qualiclip.bench.tabular import SCORES, read_index, read_scores

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
    """A logistic in units of the scores; called on scores, it gives values on the scale of the labels."""

    top: float
    bottom: float
    middle: float
    width: float

    def __call__(self, score: np.ndarray) -> np.ndarray:
        return logistic(score, *astuple(self))

    @property
    def direction(self) -> float:
        """+1 rising, -1 falling: a wrongly stated direction is fitted just as well, only this sign shows it."""
        return float(np.sign(self.top - self.bottom))


def fit(score: np.ndarray, mos: np.ndarray) -> Fit | None:
    """The least-squares logistic over several starts, or None where no start converges.

    score, mos: (n,), neither constant. The first starts are narrow, rising (that of pyiqa and of VQEG's
    script, which may stop in a worse minimum) and falling; the wide ones follow where both fail.
    """
    center, scale = score.mean(), score.std()
    x = (score - center) / scale
    best, best_error = None, np.inf
    for width in (0.25, 1.0):
        for ends in ((mos.max(), mos.min()), (mos.min(), mos.max())):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", OptimizeWarning)  # the covariance, which is not used
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
    """Percentile bootstrap limits of srcc or plcc, images drawn with replacement, always the same draws."""
    function = {"srcc": spearmanr, "plcc": pearsonr}[metric]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a draw of equal scores has no correlation and is left out
        found = bootstrap(
            (score, mos),
            lambda s, m: function(s, m).statistic,
            paired=True,
            vectorized=False,
            n_resamples=resamples,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        )
    draws = found.bootstrap_distribution
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


def measures(score: np.ndarray, mos: np.ndarray) -> dict[str, float]:
    """All metrics of oriented scores against oriented labels, each (n,) and finite; NaN where undefined.

    Where no fit converges, `fit_converged` is 0, `plcc_logistic` is the raw PLCC, and `rmse` that of the
    least-squares line.
    """
    return _measures(score, mos)[0]


def _measures(score: np.ndarray, mos: np.ndarray) -> tuple[dict[str, float], Fit | None]:
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


def orient(scores: pd.Series, card: MethodCard) -> np.ndarray:
    """Scores so that higher is better; an image without a score is NaN."""
    return scores.to_numpy(float) * (1 if card.higher_better else -1)


def orient_labels(mos: pd.Series, card: DatasetCard) -> np.ndarray:
    """Labels so that higher is better."""
    return mos.to_numpy(float) * (1 if card.labels.higher_better else -1)


def parts_of(index: pd.DataFrame) -> dict[str, np.ndarray]:
    """Name of each split -> whether an image is in its test part; `all` is the whole set."""
    parts = {"all": np.ones(len(index), bool)}
    for column in (c for c in index if c.startswith("split_")):
        name = "official" if column == "split_official" else column
        parts[name] = (index[column] == "test").to_numpy()
    return parts


def correlations(
    scores: pd.DataFrame, index: pd.DataFrame, method: MethodCard, dataset: DatasetCard, resamples: int = 0
) -> Iterator[tuple[str, str, float, int]]:
    """(split, metric, value, n) of a score file whose rows are those of the index."""
    mos, within = orient_labels(index["mos"], dataset), bool(own_splits(scores))
    for split, inside in parts_of(index).items():
        if split == "all" and within:
            continue  # each split has a model of its own, none of them is one of the whole set
        s = orient(scores_of(scores, split), method)
        rows = inside & np.isfinite(s)
        values, curve = _measures(s[rows], mos[rows])
        if "group" in index:
            values["srcc_within_group"] = group_srcc(s[rows], mos[rows], index["group"].to_numpy()[rows])
        if curve and (split == "all" or within):  # what draws the curve
            values |= {f"fit_{k}": v for k, v in vars(curve).items()}
        if split == "all" and resamples and np.isfinite(values["srcc"]):
            for metric in ("srcc", "plcc"):
                limits = bootstrap_interval(metric, s[rows], mos[rows], resamples)
                values |= dict(zip((f"{metric}_bootstrap_low", f"{metric}_bootstrap_high"), limits, strict=True))
        for metric, value in values.items():
            yield split, metric, value, int(rows.sum())


def metrics_of(
    scores: Path, index: Path, method: MethodCard, dataset: DatasetCard, allow_errors: bool = False, resamples: int = 0
) -> pd.DataFrame:
    """The metrics file of one score file; a method that could not be run has one row that says why.

    Raises CardError for a set without labels, ValueError for a score file that cannot be used.
    """
    if dataset.labels is None:
        raise CardError(f"{dataset.path}: a set without labels has no correlations")
    images = read_index(index)
    table = read_scores(scores, images)
    reasons = table["error"].unique()
    if len(reasons) == 1 and str(reasons[0]).startswith("not run: "):
        rows: list = [("not run", reasons[0].removeprefix("not run: "), np.nan, 0)]
    else:
        check(table, images, scores, allow_errors)
        rows = list(correlations(table, images, method, dataset, resamples))
    return pd.DataFrame(rows, columns=["split", "metric", "value", "n"])


def own_splits(scores: pd.DataFrame) -> list[str]:
    """Columns of a score file with a model's scores for each split."""
    return [c for c in scores if c not in SCORES]


def scores_of(scores: pd.DataFrame, part: str) -> pd.Series:
    """Scores behind a part of `parts_of`: those of the split's own model, where the file has them."""
    column = "split_official" if part == "official" else part
    return scores[column] if column in scores else scores["score"]


def check(scores: pd.DataFrame, index: pd.DataFrame, scores_path: Path, allow_errors: bool) -> None:
    """Raises ValueError for a score file that scores images that a split's model was trained on, or has failed rows."""
    missing, own = scores["score"].isna(), own_splits(scores)
    if own:
        inside, has = index[own] == "test", scores[own].notna()
        outside = scores["image"][(has & ~inside).any(axis=1) | ~missing]
        if len(outside):
            raise ValueError(f"{scores_path}: {outside.iloc[0]} has a score outside of the test parts that it is in")
        missing = (inside & ~has).any(axis=1)
    failed = scores[missing]
    if len(failed) and not allow_errors:
        first = "; ".join(f"{r.image}: {r.error}" for r in failed.head(3).itertuples())
        raise ValueError(
            f"{scores_path}: {len(failed)} of {len(scores)} images have no score ({first}). "
            "Repair them, or correlate without them by --config allow_errors=true"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Correlate a score file with the dataset's labels.")
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml")
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--allow-errors", action="store_true", help="leave out images without a score")
    parser.add_argument("--bootstrap", type=int, default=0, metavar="N", help="also limits from N resamples")
    parser.add_argument("--out", type=Path, required=True, help="metrics/<method>/<dataset>.csv")
    args = parser.parse_args()
    try:
        method, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        table = metrics_of(args.scores, args.index, method, dataset, args.allow_errors, args.bootstrap)
    except (CardError, ValueError) as e:
        sys.exit(f"error: {e}")
    with atomic(args.out) as temporary:
        table.to_csv(temporary, index=False)


if __name__ == "__main__":
    command(main)
