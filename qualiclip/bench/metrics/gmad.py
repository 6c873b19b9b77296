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

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import oriented, read_index, read_scores, refusal
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.paths import Paths


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


def compete(paths: Paths, methods: list[MethodCard], dataset: DatasetCard, n_levels: int) -> pd.DataFrame:
    """The pairs of all roles of some methods on a dataset, from their score files.

    Rows of `competition`, with better_image and worse_image, the scores as each method gives them
    (better_<method>), and the labels where there are any (better_label). Raises NotRun when a method has no scores.
    """
    images = read_index(paths.index(dataset.name))
    files = {m.name: read_scores(paths.scores(m.name, dataset.name), images) for m in methods}
    for m in methods:
        table = files[m.name]
        if table["score"].isna().all():
            reason = f"not run: {refusal(table)}" if refusal(table) else table["error"].iloc[0]
            raise NotRun(f"{m.title} on {dataset.title}: {reason}")
    # images that all methods have scored
    scored = np.logical_and.reduce([np.isfinite(table["score"]) for table in files.values()])
    index = images[scored].reset_index(drop=True)
    result = competition({m.name: oriented(files[m.name]["score"][scored], m) for m in methods}, n_levels)
    # what is printed below each image
    for side in ("better", "worse"):
        rows = result[side].to_numpy()
        result[f"{side}_image"] = index["image"].to_numpy()[rows]
        for m in methods:
            result[f"{side}_{m.name}"] = files[m.name]["score"][scored].to_numpy(float)[rows]
        if "mos" in index:
            result[f"{side}_label"] = index["mos"].to_numpy()[rows]
    return result


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


def ranking(pairs: pd.DataFrame, labels: np.ndarray | None) -> pd.DataFrame:
    """Global ranking of the methods of a `competition`: method, aggressiveness, resistance; best attacker first.

    pairs: rows of `competition`, with image positions `better` and `worse`. labels: (n,) higher is better,
    or None. They stand in for the observers of the pairs. A pair's outcome is the attacker's advantage: how
    much better the image is that it prefers, in standard deviations of the labels and zero where the labels
    disagree with it. Without labels it is `gap`, the attacker's own view, and shows disagreement, not merit.
    Following Ma et al. (TPAMI 2020): aggressiveness explains the mean advantages of an attacker over the
    levels, resistance those that a defender does not concede (the largest of all minus its own).
    """
    if labels is None:
        advantage = pairs["gap"].to_numpy(float)
    else:
        advantage = (labels[pairs["better"]] - labels[pairs["worse"]]) / (np.nanstd(labels) or 1.0)
    means = pairs.assign(advantage=advantage.clip(min=0)).groupby(["attacker", "defender"])["advantage"].mean()
    names = sorted(set(pairs["attacker"]) | set(pairs["defender"]))
    attack = means.unstack().reindex(index=names, columns=names).fillna(0.0).to_numpy()
    withstood = attack.max() - attack.T
    np.fill_diagonal(withstood, 0.0)
    table = pd.DataFrame({"method": names, "aggressiveness": _global(attack), "resistance": _global(withstood)})
    return table.sort_values("aggressiveness", ascending=False, ignore_index=True)
