"""Correlations of a score file with the labels of its dataset.

`python -m qualiclip.bench.correlate baselines/piqe.yaml datasets/agiqa3k.yaml --scores ... --index ...`
Columns: split (all, split_00 .. split_09: test parts), metric, value, n. Signed: 1 is a perfect method,
-1 a perfect one with its direction stated wrongly. Undefined values (constant scores, fewer than
`MIN_N` images) are empty.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit
from scipy.stats import kendalltau, pearsonr, spearmanr

from qualiclip.bench.cards import CardError, DatasetCard, MethodCard, read_card
from qualiclip.bench.files import atomic

MIN_N = 10
MIN_GROUP = 3


def logistic(x: np.ndarray, top: float, bottom: float, middle: float, width: float) -> np.ndarray:
    """Four-parameter logistic of VQEG: bottom + (top - bottom) / (1 + exp(-(x - middle) / |width|))."""
    return bottom + (top - bottom) * expit((x - middle) / (np.abs(width) + 1e-12))


def fitted(score: np.ndarray, mos: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """Scores mapped to the MOS scale by the best logistic of several starts.

    Returns the mapped scores, the direction of the map (+1 rising, -1 falling: a method whose direction
    is stated wrongly is mapped just as well, and only this sign shows it), and whether a fit converged;
    where none did, the map is the least-squares line.
    """
    x = (score - score.mean()) / score.std()
    slope, offset = np.polyfit(x, mos, 1)
    best, direction, converged, best_error = slope * x + offset, float(np.sign(slope)), False, np.inf
    for width in (1.0, 0.25):
        for ends in ((mos.max(), mos.min()), (mos.min(), mos.max())):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", OptimizeWarning)  # the covariance, which is not used
                try:
                    p, _ = curve_fit(logistic, x, mos, p0=[*ends, 0.0, width], maxfev=4000)
                except RuntimeError:  # this start did not converge
                    continue
            y = logistic(x, *p)
            error = float(np.square(y - mos).mean())
            if error < best_error and np.ptp(y) > 0:
                best, direction, converged, best_error = y, float(np.sign(p[0] - p[1])), True, error
    return best, direction, converged


def group_srcc(score: np.ndarray, mos: np.ndarray, group: np.ndarray) -> float:
    """Mean SRCC within groups of at least `MIN_GROUP` images whose scores and labels vary."""
    values = []
    for _, rows in pd.Series(group).groupby(group).indices.items():
        s, m = score[rows], mos[rows]
        if len(rows) >= MIN_GROUP and np.ptp(s) > 0 and np.ptp(m) > 0:
            values.append(spearmanr(s, m).statistic)
    return float(np.mean(values)) if values else np.nan


def measures(score: np.ndarray, mos: np.ndarray) -> dict[str, float]:
    """All metrics of oriented scores against oriented labels; NaN where undefined."""
    names = ("srcc", "krcc", "plcc", "plcc_logistic", "rmse", "fit_converged")
    if len(score) < MIN_N or np.ptp(score) == 0 or np.ptp(mos) == 0:
        return dict.fromkeys(names, np.nan)
    mapped, direction, converged = fitted(score, mos)
    return {
        "srcc": spearmanr(score, mos).statistic,
        "krcc": kendalltau(score, mos).statistic,
        "plcc": pearsonr(score, mos).statistic,
        "plcc_logistic": direction * np.corrcoef(mapped, mos)[0, 1],
        "rmse": float(np.sqrt(np.square(mapped - mos).mean())),
        "fit_converged": float(converged),
    }


def correlations(scores: pd.DataFrame, index: pd.DataFrame, method: MethodCard, dataset: DatasetCard) -> Iterator:
    """(split, metric, value, n) of a score file whose rows are those of the index."""
    s = scores["score"].to_numpy(float) * (1 if method.higher_better else -1)
    mos = index["mos"].to_numpy(float) * (1 if dataset.labels.higher_better else -1)
    scored = np.isfinite(s)
    parts = {"all": np.ones(len(index), bool)}
    parts |= {c: (index[c] == "test").to_numpy() for c in index if c.startswith("split_")}
    for split, inside in parts.items():
        rows = inside & scored
        values = measures(s[rows], mos[rows])
        if "group" in index:
            values["srcc_within_group"] = group_srcc(s[rows], mos[rows], index["group"].to_numpy()[rows])
        for metric, value in values.items():
            yield split, metric, value, int(rows.sum())


def check(scores: pd.DataFrame, index: pd.DataFrame, scores_path: Path, allow_errors: bool) -> None:
    """Raises ValueError for a score file that is not that of the index, or has failed rows."""
    if list(scores.columns) != ["image", "score", "error"] or not scores["image"].equals(index["image"]):
        raise ValueError(f"{scores_path}: not one row per image of the index, in its order; remove it and score again")
    failed = scores[scores["score"].isna()]
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
    parser.add_argument("--out", type=Path, required=True, help="metrics/<method>/<dataset>.csv")
    args = parser.parse_args()
    scores = pd.read_csv(args.scores, keep_default_na=False, na_values={"score": [""]})
    index = pd.read_csv(args.index)
    try:
        method, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        if dataset.labels is None:
            raise CardError(f"{args.dataset}: a set without labels has no correlations")
        reasons = scores["error"].unique()
        not_run = len(reasons) == 1 and str(reasons[0]).startswith("not run: ")
        rows: list = [("not run", reasons[0].removeprefix("not run: "), np.nan, 0)] if not_run else []
        if not not_run:
            check(scores, index, args.scores, args.allow_errors)
            rows = list(correlations(scores, index, method, dataset))
    except (CardError, ValueError) as e:
        sys.exit(f"error: {e}")
    with atomic(args.out) as temporary:
        pd.DataFrame(rows, columns=["split", "metric", "value", "n"]).to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
