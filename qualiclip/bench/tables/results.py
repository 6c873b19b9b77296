"""The results of one method on one dataset, read from its metrics and score files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from qualiclip.bench.absence import reason_of
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import (
    OFFICIAL,
    WHOLE,
    read_metrics,
    read_scores,
    scores_of_part,
    split_columns,
    test_parts,
)
from qualiclip.bench.metrics.correlate import MIN_N, Fit
from qualiclip.bench.paths import Paths

STATISTICS = {"whole": "whole set", "median": "median over the ten test parts", "official": "official test part"}
PARTS = {"whole": WHOLE, "official": OFFICIAL, "median": r"split_\d+"}  # names of the parts behind each statistic


@dataclass
class Result:
    """The metrics of one method on one dataset."""

    method: MethodCard
    dataset: DatasetCard
    metrics: pd.DataFrame
    paths: Paths

    @property
    def refused(self) -> str:
        """Why there is no result: the method was not run, or the dataset is not here; empty if there is one."""
        return str(self.metrics["reason"].iloc[0]) if len(self.metrics) else ""

    @cached_property
    def not_here(self) -> str:
        """Why the dataset is not here; empty if it is."""
        return reason_of(self.paths.index(self.dataset.name))

    @property
    def leaked(self) -> bool:
        """Whether the method was trained on human labels of this set."""
        return self.dataset.name in self.method.trained_on

    @cached_property
    def _wide(self) -> pd.DataFrame:
        return self.metrics.pivot(index="split", columns="metric", values="value")

    def over(self, metric: str, statistic: str) -> pd.Series:
        """Values of the parts behind a statistic, undefined ones left out."""
        if self.refused or metric not in self._wide:
            return pd.Series(dtype=float)
        return self._wide.loc[self._wide.index.str.fullmatch(PARTS[statistic]), metric].dropna()

    def value(self, metric: str, statistic: str) -> float:
        return float(self.over(metric, statistic).median())

    def n(self, statistic: str) -> int:
        """Images behind a statistic; of ten test parts, the median number."""
        rows = self.metrics[self.metrics["split"].str.fullmatch(PARTS[statistic])]
        return int(rows["n"].median()) if len(rows) else 0

    def limits(self, metric: str) -> tuple[float, float]:
        """95% limits of the whole-set value."""
        return self.value(f"{metric}_low", "whole"), self.value(f"{metric}_high", "whole")

    def curve(self, part: str = WHOLE) -> Fit | None:
        """The logistic of the whole set; of a method with a model per split, that of a part."""
        names = [f"fit_{k}" for k in ("top", "bottom", "middle", "width")]
        part = part if self.method.features_of else WHOLE
        row = self._wide.reindex(index=[part], columns=names).to_numpy(float)[0]
        return Fit(*row) if np.isfinite(row).all() else None

    def scores(self, parts: list[str]) -> np.ndarray:
        """Oriented scores (parts, n) of every indexed image; NaN where a part has none."""
        table = read_scores(self.paths.scores(self.method.name, self.dataset.name))
        return np.stack([scores_of_part(table, part, self.method) for part in parts])

    def undefined(self, metric: str, statistic: str) -> int:
        """Parts behind a statistic that are large enough, and yet have no value: the scores are constant there."""
        rows = self.metrics[(self.metrics["metric"] == metric) & (self.metrics["n"] >= MIN_N)]
        return int(rows[rows["split"].str.fullmatch(PARTS[statistic])]["value"].isna().sum())

    def failed(self, index: pd.DataFrame) -> int:
        """Images without a score: of the whole set, or of a test part where each split has a model of its own."""
        n, parts = self.metrics.groupby("split")["n"].first(), test_parts(index)
        return max((int(inside.sum()) - n[name] for name, inside in parts.items() if name in n), default=len(index))


def statistic_of(index: pd.DataFrame, wanted: str) -> str:
    """The statistic that a set allows: the one wanted, or what its test parts are large enough for."""
    large = {name for name, inside in test_parts(index).items() if inside.sum() >= MIN_N}
    allowed = {"median": bool(large.intersection(split_columns(index))), "official": OFFICIAL in large}
    order = [] if wanted == "whole" else [wanted, "median", "official"]
    return next((statistic for statistic in order if allowed[statistic]), "whole")


def read_results(paths: Paths, pairs: list[tuple[MethodCard, DatasetCard]]) -> list[Result]:
    """The results of all pairs, from their metrics files."""
    return [Result(m, d, read_metrics(paths.metrics(m.name, d.name)), paths) for m, d in pairs]
