"""Whether one method is better than another on one dataset: tests for dependent correlations.

Two methods scored on the same images with the same labels have correlated correlations; an unpaired test would hardly
ever tell them apart. Methods with one model are compared on the whole set, those with a model per split over the test
parts. How often each test errs: `python -m qualiclip.bench.metrics.simulate`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student

from qualiclip.bench.metrics.limits import CONFIDENCE, cluster_sums, influence, to_z

ALPHA = 0.05
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Comparison:
    """Differences of M methods on one set. A method whose scores are constant has NaN everywhere.

    z: (M,) Fisher's z of each correlation. variance: (M, M) of the difference of two of them. dof: degrees of freedom
    of Student's t; infinite for the normal distribution.
    """

    z: np.ndarray
    variance: np.ndarray
    dof: float

    def p(self, i: int, j: int) -> float:
        """Two-sided p of equal correlations; 1 for equal scores, NaN where one of them is undefined."""
        difference = abs(self.z[i] - self.z[j])
        if self.variance[i, j] <= 1e-24:
            return 1.0 if difference < 1e-9 else 0.0
        return float(2 * student.sf(difference / np.sqrt(self.variance[i, j]), self.dof))


def meng(r: np.ndarray, between: np.ndarray, n: int, ranks: bool = False) -> np.ndarray:
    """(M, M) variance of the difference of Fisher's z of two methods, on n independent images.

    r: (M,) correlations with the labels. between: (M, M) of the methods with each other. Meng, Rosenthal and Rubin,
    Psychological Bulletin 1992, Eq. 1. With `ranks`, for Spearman's coefficient, the variance is inflated by
    1 + r^2/2 (Bonett and Wright, Psychometrika 2000).
    """
    r = np.clip(r, -1 + 1e-12, 1 - 1e-12)
    mean_square = (np.square(r)[:, None] + np.square(r)) / 2
    f = np.minimum(1.0, (1 - between) / (2 * (1 - mean_square)))
    h = (1 - f * mean_square) / (1 - mean_square)
    return 2 * (1 - between) * h / (n - 3) * (1 + mean_square / 2 if ranks else 1)


def compare(scores: np.ndarray, labels: np.ndarray, ranks: bool, clusters: np.ndarray | None = None) -> Comparison:
    """Differences of all methods, on the images that all of them have scored.

    scores: (M, n) oriented; NaN is no score. labels: (n,). ranks: of SRCC, otherwise of PLCC. clusters: (n,) numbers
    of what images share, or None for independent images.
    """
    inside = np.isfinite(scores).all(0) & np.isfinite(labels)
    rows, n = np.vstack([scores[:, inside], labels[inside]]), int(inside.sum())
    if n <= 3 or np.ptp(rows[-1]) == 0:
        undefined = np.full(len(scores), np.nan)
        return Comparison(undefined, np.full((len(scores),) * 2, np.nan), np.inf)
    varied = np.ptp(rows[:-1], axis=1) > 0
    values = rankdata(rows, axis=1) if ranks else rows
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.corrcoef(values)
    # images by themselves
    if clusters is None:
        return Comparison(to_z(r[:-1, -1]), meng(r[:-1, -1], r[:-1, :-1], n, ranks), np.inf)
    # images that share something: the spread of the clusters' influences
    own = clusters[inside]
    sums = np.full((len(scores), len(np.unique(own))), np.nan)
    sums[varied] = [cluster_sums(influence(s, rows[-1], ranks), own) for s in rows[:-1][varied]]
    product = sums @ sums.T
    squares = np.diag(product)
    return Comparison(to_z(r[:-1, -1]), squares[:, None] + squares - 2 * product, sums.shape[1] - 1)


def resampled(values: np.ndarray, ratio: float) -> tuple[float, float, float]:
    """(p, low, high) of a mean over test parts that overlap: whether it is zero, and its 95% limits.

    values: (J,) differences of two methods, or values of one, by part. ratio: images tested by images trained on.
    Nadeau and Bengio's corrected resampled t test (Machine Learning 2003), whose variance counts that the models of
    two parts have been trained on shared images. NaN for fewer than two parts.
    """
    j = len(values)
    if j < 2 or not np.isfinite(values).all():
        return (float("nan"),) * 3
    mean, error = float(values.mean()), float(np.sqrt((1 / j + ratio) * values.var(ddof=1)))
    reach = float(student.ppf((1 + CONFIDENCE) / 2, j - 1)) * error
    p = float(2 * student.sf(abs(mean) / error, j - 1)) if error else float(mean == 0)
    return p, mean - reach, mean + reach


def holm(p: dict[K, float]) -> dict[K, float]:
    """Holm's step-down adjustment of several p values (Scandinavian Journal of Statistics 1979)."""
    adjusted, running = {}, 0.0
    for i, name in enumerate(sorted(p, key=p.__getitem__)):
        running = max(running, min(1.0, (len(p) - i) * p[name]))
        adjusted[name] = running
    return adjusted


def wins(z: np.ndarray, p: dict[tuple[int, int], float]) -> np.ndarray:
    """(M, M) whether the row is significantly better than the column: Holm-corrected over all pairs, at 5%.

    z: (M,) of the methods. p: of each pair, tested once; NaN counts as 1.
    """
    won: np.ndarray = np.zeros((len(z),) * 2, bool)
    adjusted = holm({pair: v if np.isfinite(v) else 1.0 for pair, v in p.items()})
    for (i, j), v in adjusted.items():
        if v <= ALPHA:
            won[(i, j) if z[i] > z[j] else (j, i)] = True
    return won


def all_pairs(c: Comparison) -> dict[tuple[int, int], float]:
    """p of every pair of methods."""
    return {(i, j): c.p(i, j) for i in range(len(c.z)) for j in range(i)}


def rank_ranges(comparisons: list[Comparison]) -> list[tuple[int, int]]:
    """Best and worst rank of each of M methods that the data allow, by the mean of Fisher's z over several sets.

    A method's best rank is one more than the number of methods that are significantly better, its worst that of the
    methods that are not significantly worse. All pairs are tested, Holm-corrected at 5%; the degrees of freedom are
    Welch's.
    """
    z = np.sum([c.z for c in comparisons], axis=0)
    variance = np.sum([c.variance for c in comparisons], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        dof = np.square(variance) / np.sum([np.square(c.variance) / c.dof for c in comparisons], axis=0)
    m = len(z)
    won = wins(z, {(i, j): Comparison(z, variance, dof[i, j]).p(i, j) for i in range(m) for j in range(i)})
    return places(won)


def places(won: np.ndarray) -> list[tuple[int, int]]:
    """Best and worst rank of each of M methods. won: (M, M) of `wins`."""
    return [(1 + int(b), len(won) - int(w)) for b, w in zip(won.sum(0), won.sum(1), strict=True)]
