"""gMAD: group maximum differentiation competition (Ma et al., TPAMI 2020), from score files alone.

The defender holds quality constant, the attacker tells apart: among the images that the defender
puts into one level, the pair that the attacker separates most. A good attacker finds pairs that a
person tells apart too; a good defender leaves none.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


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
