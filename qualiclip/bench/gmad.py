"""gMAD: group maximum differentiation competition (Ma et al., TPAMI 2020), from score files alone.

The defender holds quality constant, the attacker tells apart: among the images that the defender
puts into one level, the pair that the attacker separates most. A good attacker finds pairs that a
person tells apart too; a good defender leaves none.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import norm


def pairs(
    defender: np.ndarray, attacker: np.ndarray, n_levels: int, width: float = 0.1, names: tuple[str, str] = ("d", "a")
) -> pd.DataFrame:
    """The most separated pair of each defender level.

    defender, attacker: oriented scores (higher is better) of the same images, finite.
    n_levels: levels from low to high, each holding the `width` share of images around an evenly spaced
    quantile of the defender's scores (2 levels of width 0.1: the lowest and the highest tenth).
    Returns one row per level: defender, attacker, level, quantile, better, worse (image positions by
    the attacker), gap (the attacker's difference in its standard deviations).
    Raises ValueError for fewer than two images in a level.
    """
    n = len(defender)
    order = np.argsort(defender, kind="stable")
    held = max(2, round(width * n))
    if n < 2:
        raise ValueError(f"gMAD needs at least two images, got {n}")
    spread = attacker.std() or 1.0
    rows = []
    for level, start in enumerate(np.linspace(0, n - min(held, n), n_levels).round().astype(int)):
        inside = order[start : start + held]
        better, worse = inside[attacker[inside].argmax()], inside[attacker[inside].argmin()]
        gap = (attacker[better] - attacker[worse]) / spread
        rows.append((*names, level, (start + held / 2) / n, int(better), int(worse), float(gap)))
    columns = ["defender", "attacker", "level", "quantile", "better", "worse", "gap"]
    return pd.DataFrame(rows, columns=columns)


def competition(scores: dict[str, np.ndarray], n_levels: int, width: float = 0.1) -> pd.DataFrame:
    """Every ordered pair of methods, both roles: the rows of `pairs`, one below the other."""
    return pd.concat(
        [
            pairs(scores[d], scores[a], n_levels, width, names=(d, a))
            for d in scores
            for a in scores
            if a != d
        ],
        ignore_index=True,
    )  # fmt: skip


def _global(wins: np.ndarray) -> np.ndarray:
    """(N,) scale values of mean zero that explain non-negative `wins` (N, N) of row over column best.

    Maximum likelihood under Thurstone's model with a unit normal prior, which keeps a method that always
    wins finite: max over u of sum_ij wins_ij log Phi(u_i - u_j) - |u|^2 / 2.
    """

    def loss(u: np.ndarray) -> tuple[float, np.ndarray]:
        difference = u[:, None] - u
        likelihood = wins * norm.logcdf(difference)
        slope = wins * np.exp(norm.logpdf(difference) - norm.logcdf(difference))
        return float(u @ u / 2 - likelihood.sum()), u - slope.sum(1) + slope.sum(0)

    return minimize(loss, np.zeros(len(wins)), jac=True, method="L-BFGS-B").x


def ranking(found: pd.DataFrame, labels: np.ndarray | None) -> pd.DataFrame:
    """Global ranking of the methods of a `competition`: method, aggressiveness, resistance; best attacker first.

    found: rows of `competition`, with image positions `better` and `worse`. labels: (n,) higher is better,
    or None; they stand in for the observers of the pairs. A pair's outcome is the attacker's advantage: how
    much better the image is that it prefers, in standard deviations of the labels and zero where the labels
    disagree with it. Without labels it is `gap`, the attacker's own view, and shows disagreement, not merit.
    Following Ma et al. (TPAMI 2020): aggressiveness explains the mean advantages of an attacker over the
    levels, resistance those that a defender does not concede (the largest of all minus its own).
    """
    if labels is None:
        advantage = found["gap"].to_numpy(float)
    else:
        advantage = (labels[found["better"]] - labels[found["worse"]]) / (np.nanstd(labels) or 1.0)
    means = found.assign(advantage=advantage.clip(min=0)).groupby(["attacker", "defender"])["advantage"].mean()
    names = sorted(set(found["attacker"]) | set(found["defender"]))
    attack = means.unstack().reindex(index=names, columns=names).fillna(0.0).to_numpy()
    withstood = attack.max() - attack.T
    np.fill_diagonal(withstood, 0.0)
    table = pd.DataFrame({"method": names, "aggressiveness": _global(attack), "resistance": _global(withstood)})
    return table.sort_values("aggressiveness", ascending=False, ignore_index=True)
