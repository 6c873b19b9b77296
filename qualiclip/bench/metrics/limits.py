"""How precise a correlation is: 95% limits where images are independent, and where they share a reference or prompt.

Independent images: closed forms on Fisher's scale z = artanh(r). Images that share a reference are no independent
opinions: there, each image's influence on the correlation is summed over its cluster, and the spread of these sums is
that of the correlation (the delete-one-cluster jackknife to first order; Efron, 1982; Liang and Zeger, 1986). It costs
one sort per method, where a bootstrap of clusters would rank all images again for each resample.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, norm, pearsonr, rankdata, spearmanr
from scipy.stats import t as student

CONFIDENCE = 0.95


def to_z(r: np.ndarray | float) -> np.ndarray:
    """Fisher's z of correlations; a perfect one stays finite."""
    return np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))


def closed_form(metric: str, r: float, n: int) -> tuple[float, float]:
    """Limits of a correlation of n independent images.

    Fisher's z for Pearson's r; for Spearman's, its variance times 1 + r^2/2 (Bonett and Wright,
    Psychometrika 2000). The limits of `plcc_logistic` take the fit as given, which is a little too narrow.
    """
    variance = (1 + (r**2 / 2 if metric == "srcc" else 0)) / (n - 3)
    reach = norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(variance)
    return float(np.tanh(to_z(r) - reach)), float(np.tanh(to_z(r) + reach))


def clusters_of(index: pd.DataFrame) -> np.ndarray | None:
    """(n,) number of the cluster of each image of an index, or None where every image stands alone.

    A cluster is what shares the reference; where a set has no references, what shares the group (a prompt).
    """
    shared = next((index[c] for c in ("ref", "group") if c in index), None)
    return None if shared is None else pd.factorize(shared.astype(str), sort=True)[0]


def _covariance_influence(a: np.ndarray, b: np.ndarray, ranks: bool) -> np.ndarray:
    """(n,) derivative of the covariance of a and b by the weight of each image. a, b: (n,) of mean zero.

    With ranks, a and b are mid-ranks divided by n: each image also moves the ranks of the images above it.
    """
    own = a * b
    if ranks:
        for x, y in ((a, b), (b, a)):
            # the mean of y over the images above each image in x, those of the same rank counted half
            total = pd.Series(y).groupby(x).sum()
            above = total[::-1].cumsum() - total / 2
            own = own + above.loc[x].to_numpy() / len(x)
    return own - own.mean()


def influence(score: np.ndarray, mos: np.ndarray, ranks: bool) -> np.ndarray:
    """(n,) how the correlation moves with the weight of each image, on Fisher's scale; its mean is zero.

    score, mos: (n,), neither constant. ranks: Spearman's correlation, ties included; otherwise Pearson's. The variance
    of Fisher's z of independent images is the mean square of its influences, divided by n.
    """
    a, b = ((rankdata(v) / len(v) if ranks else np.asarray(v, float)) for v in (score, mos))
    a, b = a - a.mean(), b - b.mean()
    spread = a.std() * b.std()
    r = a @ b / len(a) / spread
    moved = _covariance_influence(a, b, ranks) / spread
    for x in (a, b):
        moved = moved - r / 2 * _covariance_influence(x, x, ranks) / x.var()
    return moved / max(1 - r**2, 1e-12)


def cluster_sums(influences: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """(G,) influence of each cluster on Fisher's z, scaled so that their sum of squares is the variance of z.

    influences: (n,) of `influence`. clusters: (n,) numbers from 0; those without an image are left out.
    """
    sums = np.bincount(clusters, influences)[np.bincount(clusters) > 0] / len(influences)
    return sums * np.sqrt(len(sums) / (len(sums) - 1)) if len(sums) > 1 else np.full(1, np.inf)


def clustered(score: np.ndarray, mos: np.ndarray, clusters: np.ndarray, ranks: bool) -> tuple[float, float]:
    """Limits of a correlation of images in clusters: Student's t on Fisher's scale. One cluster has no limits: -1, 1.

    score, mos: (n,), neither constant. clusters: (n,) numbers of `clusters_of`.
    """
    sums = cluster_sums(influence(score, mos, ranks), clusters)
    z = to_z((spearmanr if ranks else pearsonr)(score, mos).statistic)
    if len(sums) < 2:
        return -1.0, 1.0
    reach = student.ppf((1 + CONFIDENCE) / 2, len(sums) - 1) * np.sqrt(sums @ sums)
    return float(np.tanh(z - reach)), float(np.tanh(z + reach))


def bootstrapped(
    score: np.ndarray, mos: np.ndarray, resamples: int, ranks: bool, clusters: np.ndarray | None = None
) -> tuple[float, float]:
    """Percentile bootstrap limits: images, or whole clusters, are drawn with replacement, always the same draws."""
    units = np.arange(len(score)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    order = np.argsort(units, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(units[order])) + 1)
    function = spearmanr if ranks else pearsonr

    def correlation(drawn: np.ndarray) -> float:
        chosen = np.concatenate([rows[k] for k in drawn])
        return function(score[chosen], mos[chosen]).statistic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a draw of equal scores has no correlation and is left out
        options = {"n_resamples": resamples, "confidence_level": CONFIDENCE, "method": "percentile"}
        rng = np.random.default_rng(0)
        result = bootstrap((np.arange(len(rows)),), correlation, vectorized=False, rng=rng, **options)
    low, high = np.nanquantile(result.bootstrap_distribution, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
