"""What a reader with one minute must know: two sentences, from the results of the run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qualiclip.bench.tables.standing import Standing

MOST = 3  # further methods that are named


def _enumerated(words: list[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _best(ranked: Standing) -> str:
    """Which opinion-unaware method leads on how many sets, and which others do."""
    chosen = [i for i, m in enumerate(ranked.methods) if m.family == "opinion-unaware"]
    if len(chosen) < 2:
        return "Fewer than two opinion-unaware methods have a value on every set, so none is the best."
    # on each set: the best, and all that are not significantly worse
    first: np.ndarray = np.zeros((len(chosen), len(ranked.datasets)), bool)
    for k, won in enumerate(ranked.wins):
        best = max(chosen, key=lambda i: ranked.srcc[i, k])
        first[:, k] = [not won[best, i] for i in chosen]
    # who leads on most sets; on as many, by the mean
    sets = first.sum(1)
    order = sorted(range(len(chosen)), key=lambda i: (-sets[i], -ranked.srcc[chosen[i]].mean()))
    leader, others = order[0], [i for i in order[1:] if sets[i]]
    names = [f"{ranked.methods[chosen[i]].title} on {sets[i]}" for i in others[:MOST]]
    more = [f"{len(others) - MOST} more"] * (len(others) > MOST)
    where = _enumerated([d.title for d, led in zip(ranked.datasets, first[leader], strict=True) if led])
    rest = f" The same holds of {_enumerated([*names, *more])}." if others else " No other method is on any set."
    return (
        f"{ranked.methods[chosen[leader]].title} is the best of {len(chosen)} opinion-unaware methods, or not "
        f"significantly worse than the best, on {sets[leader]} of {first.shape[1]} sets ({where}; SRCC on whole sets, "
        f"all pairs tested, Holm-corrected, 5%).{rest}"
    )


def _trust(ranked: Standing, tidy: pd.DataFrame) -> str:
    """What the labels are, and how many published values were reproduced."""
    n, human = len(ranked.datasets), sum(d.human for d in ranked.datasets)
    if human == n:
        labels = "The labels of all sets are human opinions"
    elif human:
        labels = f"The labels of {human} of {n} sets are human opinions, the others are synthetic"
    else:
        labels = "All labels are synthetic: the numbers show that the pipeline works, not how good a method is"
    compared = tidy[tidy["status"].isin(["match", "range", "off"])]
    compared = compared.drop_duplicates(["method", "dataset", "metric", "statistic"])
    if compared.empty:
        return f"{labels}; no published value can be compared with one of these."
    within = int((compared["status"] != "off").sum())
    return f"{labels}; {within} of {len(compared)} published values under the same protocol are reproduced."


def sentences(ranked: Standing, tidy: pd.DataFrame) -> list[str]:
    """Who is best, and how far to trust it. tidy: the results of all tables."""
    return [_best(ranked), _trust(ranked, tidy)]
