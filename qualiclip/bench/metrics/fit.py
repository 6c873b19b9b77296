"""The rising four-parameter logistic that maps scores to labels, fitted by least squares.

For a given middle and width the two ends follow from a line, so the best curve is the one whose shape has the highest
correlation with the labels: a search over two numbers. Each shape is a start, from a step to a line.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import f as f_distribution
from scipy.stats import spearmanr

WIDTHS = (0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 4.0, 30.0)  # of the starts, in standard deviations of normal scores
MIDDLES = 24  # starts of each width
REACH = 10.0  # ranges of the scores that a middle may lie beyond them: there the curve is an exponential
NARROWEST = 1e-6  # width of a curve that is a step even between scores that lie dense
BINS, ENDS = 300, 60  # bins of scores behind the starts; scores at either end that have a bin of their own
KEPT = 6  # best starts that are refined
ALPHA = 0.05  # of the F test against a constant


def logistic(x: np.ndarray, top: float, bottom: float, middle: float, width: float) -> np.ndarray:
    """Four-parameter logistic of VQEG: bottom + (top - bottom) / (1 + exp(-(x - middle) / |width|))."""
    return bottom + (top - bottom) * expit((x - middle) / (np.abs(width) + 1e-12))


@dataclass(frozen=True)
class Fit:
    """A rising logistic. Called on scores, it returns values on the scale of the labels."""

    top: float
    bottom: float
    middle: float
    width: float

    def __call__(self, score: np.ndarray) -> np.ndarray:
        return logistic(score, *astuple(self))


@dataclass(frozen=True)
class _Points:
    """Scaled scores x in rising order, mean labels y there, and their weights w, which sum to one.

    y has mean zero, and the labels behind it unit variance.
    """

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray

    def correlation(self, curve: np.ndarray) -> np.ndarray:
        """Of curves (..., n) with the labels; 0 for a constant one."""
        mean = curve @ self.w
        variance = np.square(curve) @ self.w - np.square(mean)
        return np.where(variance > 1e-15, (curve @ (self.w * self.y)) / np.sqrt(np.maximum(variance, 1e-15)), 0.0)

    def refined(self, middle: float, width: float) -> tuple[float, float, float]:
        """(correlation, middle, width) of the best shape that is reached from a start."""

        def loss(p: np.ndarray) -> tuple[float, np.ndarray]:
            z = (self.x - p[0]) / np.exp(p[1])
            e = expit(z)
            centred = e - e @ self.w
            norm = np.sqrt(centred @ (self.w * centred)) + 1e-15
            r = centred @ (self.w * self.y) / norm
            # the slope of the correlation along the curve's values, then along middle and log width
            along = self.w * (self.y - r * centred / norm) / norm * e * (1 - e)
            return -r, np.array([along.sum() / np.exp(p[1]), along @ z])

        span = self.x[-1] - self.x[0]
        reach = [(self.x[0] - REACH * span, self.x[-1] + REACH * span), (np.log(NARROWEST), np.log(REACH * span))]
        found = minimize(loss, [middle, np.log(width)], jac=True, method="L-BFGS-B", bounds=reach, tol=1e-12)
        return -found.fun, found.x[0], np.exp(found.x[1])


def _binned(x: np.ndarray, y: np.ndarray) -> _Points:
    """At most BINS + 2 ENDS points: bins of equally many scores, and the scores at both ends by themselves."""
    order = np.argsort(x, kind="stable")
    x, y, n = x[order], y[order], len(x)
    inner = np.linspace(ENDS, n - ENDS, BINS + 1).round().astype(int) if n > BINS + 2 * ENDS else np.arange(n)
    edges = np.unique(np.concatenate([np.arange(min(ENDS, n)), inner, np.arange(max(0, n - ENDS), n)]))
    edges = edges[(edges == 0) | (x[edges] > x[edges - 1])]  # equal scores share a bin
    size: np.ndarray = np.diff(np.append(edges, n))
    return _Points(np.add.reduceat(x, edges) / size, np.add.reduceat(y, edges) / size, size / n)


def _starts(points: _Points) -> list[tuple[float, float]]:
    """(middle, width) of the KEPT most promising shapes: the best of each width, and the best steps."""
    grid = np.linspace(points.x[0] - 2, points.x[-1] + 2, MIDDLES)
    middles = np.sort(np.concatenate([grid, np.interp(np.linspace(0, 1, MIDDLES), np.cumsum(points.w), points.x)]))
    found = []
    for width in WIDTHS:
        r = points.correlation(expit((points.x - middles[:, None]) / width))
        found.append((r.max(), middles[r.argmax()], width))
    # a step after each of the points: what every narrow curve comes to
    below = np.cumsum(points.w)[:-1]
    r = -np.cumsum(points.w * points.y)[:-1] / np.sqrt(below * (1 - below))
    for k in np.argsort(r)[::-1][:3]:
        gap = points.x[k + 1] - points.x[k]
        found.append((r[k], points.x[k] + gap / 2, min(1.0, max(NARROWEST, gap / 8))))
    return [(middle, width) for _, middle, width in sorted(found, reverse=True)[:KEPT]]


def fit(score: np.ndarray, mos: np.ndarray) -> Fit | None:
    """The least-squares rising logistic of oriented scores, or None where no rising curve beats a constant.

    score, mos: (n,), neither constant. A curve beats a constant if it does so in an F test of its three further
    parameters at 5%, and if the ranks rise, too (SRCC above zero): a step beside one outlier alone is no relation.
    """
    if not spearmanr(score, mos).statistic > 0:
        return None
    # the quartiles, since one far outlier would make all other scores look alike
    low, center, high = np.quantile(score, (0.25, 0.5, 0.75))
    scale = (high - low) / 1.35 or score.std()
    x, y, n = (score - center) / scale, (mos - mos.mean()) / mos.std(), len(score)
    # the best shape of binned points, then refined on all of them
    points = _binned(x, y)
    _, middle, width = max(points.refined(*start) for start in _starts(points))
    if len(points.x) < n:
        order = np.argsort(x, kind="stable")
        _, middle, width = _Points(x[order], y[order], np.full(n, 1 / n)).refined(middle, width)
    # its ends, and whether it beats a constant
    shape = expit((x - middle) / width)
    slope, bottom = np.polyfit(shape, mos, 1)
    r2 = np.corrcoef(shape, mos)[0, 1] ** 2
    if slope <= 0 or f_distribution.sf((n - 4) / 3 * r2 / max(1 - r2, 1e-15), 3, n - 4) > ALPHA:
        return None
    return Fit(bottom + slope, bottom, center + scale * middle, scale * width)
