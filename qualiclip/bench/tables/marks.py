"""Which values of a column stand out: the best, all that are not significantly worse, and the next one.

What is marked is significantly above zero. Where more than half of the methods tie, nothing is marked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.formats import NO_LABELS, OFFICIAL, WHOLE, has_labels, oriented, split_columns, test_parts
from qualiclip.bench.metrics.limits import clusters_of
from qualiclip.bench.metrics.significance import ALPHA, compare, holm, resampled
from qualiclip.bench.tables.results import Result, statistic_of

TESTED = {"srcc": True, "plcc": False, "plcc_logistic": False}  # metric -> whether it is a correlation of ranks
TIED, NOT_ABOVE_ZERO = "most methods tie", "no method is significantly above zero"


def ratio_of(index: pd.DataFrame) -> float:
    """Images tested by images trained on, over all splits of an index."""
    parts = index[split_columns(index)]
    return float((parts == "test").to_numpy().sum() / max((parts == "train").to_numpy().sum(), 1))


@dataclass
class Column:
    """One metric on one dataset: one value per method, and which of them stand out.

    results: by the name of the method. wanted: the statistic that the table asks for.
    """

    dataset: DatasetCard
    metric: str
    wanted: str
    results: dict[str, Result]
    index: pd.DataFrame

    def statistic(self, name: str) -> str:
        """What the value of a method is taken over."""
        return statistic_of(self.index, self.wanted, self.results[name].per_split)

    def value(self, name: str) -> float:
        return self.results[name].value(self.metric, self.statistic(name))

    def limits(self, name: str) -> tuple[float, float]:
        """95% limits: of the whole set, or of a model per split over its test parts."""
        result, statistic = self.results[name], self.statistic(name)
        if not result.per_split:
            return result.limits(self.metric)
        if statistic == "official":
            return result.limits(self.metric, statistic)
        return resampled(result.over(self.metric, statistic).to_numpy(), ratio_of(self.index))[1:]

    def _scores(self, name: str, part: str) -> np.ndarray:
        """(n,) scores of a method that the metric correlates with the labels of a part."""
        result = self.results[name]
        curve = result.curve(part) if self.metric == "plcc_logistic" else None
        scores = result.scores([part])[0]
        return curve(scores) if curve else scores

    def _worse(self, best: str, other: str) -> float:
        """p of two equally good methods; 1 where `other` is the better one on what is tested."""
        pair = [self.results[best], self.results[other]]
        statistic = next((self.statistic(n) for n in (best, other) if self.results[n].per_split), "whole")
        # over test parts, where one of the two has a model for each
        if statistic == "median":
            values = [r.over(self.metric, statistic) for r in pair]
            apart = (values[0] - values[1]).dropna().to_numpy()
            return resampled(apart, ratio_of(self.index))[0] if apart.sum() > 0 else 1.0
        # on one set of images
        part = OFFICIAL if statistic == "official" else WHOLE
        inside = test_parts(self.index)[part]
        labels, clusters = oriented(self.index["mos"], self.dataset.labels)[inside], clusters_of(self.index)
        scores = np.stack([self._scores(n, part)[inside] for n in (best, other)])
        tested = compare(scores, labels, TESTED[self.metric], None if clusters is None else clusters[inside])
        return tested.p(0, 1) if tested.z[0] > tested.z[1] else 1.0

    @property
    def marks(self) -> dict[str, str]:
        """Method -> best or second. Only tested metrics have marks."""
        return self._judged[0]

    @property
    def unmarked(self) -> str:
        """Why no method is marked; empty where one is, and where nothing is compared."""
        return self._judged[1]

    @cached_property
    def _judged(self) -> tuple[dict[str, str], str]:
        """Marks, and why there are none."""
        values = {n: v for n, r in self.results.items() if r.competes and np.isfinite(v := self.value(n))}
        if self.metric not in TESTED or len(values) < 2:
            return {}, ""
        if not has_labels(self.index):
            return {}, NO_LABELS
        # the best, and all that are not significantly worse
        best = max(values, key=values.__getitem__)
        p = {n: self._worse(best, n) for n in values if n != best}
        adjusted = holm({n: v if np.isfinite(v) else 1.0 for n, v in p.items()})  # what cannot be compared ties
        top = {best} | {n for n, v in adjusted.items() if v > ALPHA}
        if len(top) > len(values) / 2:
            return {}, TIED
        # the next one; nothing that may as well be zero
        rest = {n: v for n, v in values.items() if n not in top}
        second = {n for n, v in rest.items() if v == max(rest.values())}
        above = {n for n in top | second if self.limits(n)[0] > 0}
        marks = dict.fromkeys(top & above, "best") | dict.fromkeys(second & above, "second")
        return marks, "" if marks else NOT_ABOVE_ZERO
