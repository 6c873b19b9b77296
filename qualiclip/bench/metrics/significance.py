"""Whether one method is better than another on one dataset: tests for dependent correlations.

Two methods scored on the same images with the same labels have correlated correlations; an unpaired
test would hardly ever tell them apart.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, rankdata

ALPHA = 0.05


def meng(r1: float, r2: float, r12: float, n: int, ranks: bool = False) -> float:
    """Two-sided p of equal correlations r1 = r2 of two methods with the same labels.

    r12: correlation of the two methods. n: images. Meng, Rosenthal and Rubin, Psychological Bulletin
    1992, Eq. 1. With `ranks`, for Spearman's coefficient, the variance is inflated by 1 + r^2/2 (Bonett
    and Wright, Psychometrika 2000). NaN where a correlation is undefined; 1 for equal methods.
    """
    if not np.isfinite([r1, r2, r12]).all() or n <= 3:
        return float("nan")
    if r12 >= 1 - 1e-12:
        return 1.0
    r1, r2 = np.clip([r1, r2], -1 + 1e-12, 1 - 1e-12)
    mean_square = (r1**2 + r2**2) / 2
    f = min(1.0, (1 - r12) / (2 * (1 - mean_square)))
    h = (1 - f * mean_square) / (1 - mean_square)
    variance = 2 * (1 - r12) * h / (n - 3) * (1 + mean_square / 2 if ranks else 1)
    return float(2 * norm.sf(abs(np.arctanh(r1) - np.arctanh(r2)) / np.sqrt(variance)))


def holm(p: dict[str, float]) -> dict[str, float]:
    """Holm's step-down adjustment of several p values (Scandinavian Journal of Statistics 1979)."""
    adjusted, running = {}, 0.0
    for i, name in enumerate(sorted(p, key=p.__getitem__)):
        running = max(running, min(1.0, (len(p) - i) * p[name]))
        adjusted[name] = running
    return adjusted


def pairwise(a: np.ndarray, b: np.ndarray, labels: np.ndarray, ranks: bool) -> float:
    """p of two methods' scores (n,) on the images that both have scored; NaN is no score."""
    both = np.isfinite(a) & np.isfinite(b)
    rows = np.stack([a[both], b[both], labels[both]])
    if rows.shape[1] <= 3 or (np.ptp(rows, axis=1) == 0).any():
        return float("nan")
    r = np.corrcoef(rankdata(rows, axis=1) if ranks else rows)
    return meng(r[0, 2], r[1, 2], r[0, 1], rows.shape[1], ranks)


def over_splits(p: list[float]) -> float:
    """One p value from several on overlapping test parts: twice their median (Rueger, Metrika 1978), which is valid
    however they depend on each other."""
    finite = [v for v in p if np.isfinite(v)]
    return min(1.0, 2 * float(np.median(finite))) if finite else float("nan")


def not_worse(
    scores: dict[str, np.ndarray], labels: np.ndarray, best: str, parts: list[np.ndarray], ranks: bool
) -> set[str]:
    """The methods that are not significantly worse than `best` (it among them), Holm-corrected at 5%.

    scores: oriented (n,) of each method, or (parts, n) of a method with a model per split. parts: masks (n,) of the
    whole set or of the test parts. A method that cannot be compared is left out.
    """
    p = {}
    by_part = {name: np.broadcast_to(s, (len(parts), len(labels))) for name, s in scores.items()}
    for name, s in by_part.items():
        pairs = zip(by_part[best], s, parts, strict=True)
        values = [pairwise(a[rows], b[rows], labels[rows], ranks) for a, b, rows in pairs]
        value = values[0] if len(values) == 1 else over_splits(values)
        if name != best and np.isfinite(value):
            p[name] = value
    return {best} | {name for name, value in holm(p).items() if value > ALPHA}
