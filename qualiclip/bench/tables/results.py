"""The results of one method on one dataset, read from its metrics and score files.

A method with one model is judged over what its table asks for; one with a model per split over test parts, always. A
set of few groups has no test parts that tell anything: it is judged as a whole.
"""

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
from qualiclip.bench.metrics.correlate import MIN_N
from qualiclip.bench.metrics.fit import Fit
from qualiclip.bench.metrics.limits import clusters_of
from qualiclip.bench.paths import Paths

STATISTICS = {"whole": "whole set", "median": "median over the test parts", "official": "official test part"}
MIN_GROUPS = 10  # groups of images that test parts need
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

    @property
    def per_split(self) -> bool:
        """Whether each split has a model of its own, trained on its train part."""
        return bool(self.method.features_of)

    def belongs_to(self, m: MethodCard) -> bool:
        """Whether it is of that method, or of its repeat with another seed."""
        return m.name in (self.method.name, self.method.repeat_of)

    @property
    def competes(self) -> bool:
        """Whether it may be marked or ranked, and enters a mean: nothing that has seen the labels or the reference."""
        return self.method.family not in ("control", "full-reference") and not self.leaked and not self.refused

    @cached_property
    def _wide(self) -> pd.DataFrame:
        return self.metrics.pivot(index="split", columns="metric", values="value")

    @cached_property
    def _of_statistic(self) -> dict[str, pd.DataFrame]:
        """Statistic -> the rows of `_wide` behind it."""
        return {s: self._wide[self._wide.index.str.fullmatch(parts)] for s, parts in PARTS.items()}

    def over(self, metric: str, statistic: str) -> pd.Series:
        """Values of the parts behind a statistic, undefined ones left out."""
        if self.refused or metric not in self._wide:
            return pd.Series(dtype=float)
        return self._of_statistic[statistic][metric].dropna()

    def value(self, metric: str, statistic: str) -> float:
        return float(self.over(metric, statistic).median())

    def n(self, statistic: str) -> int:
        """Images behind a statistic; of ten test parts, the median number."""
        rows = self.metrics[self.metrics["split"].str.fullmatch(PARTS[statistic])]
        return int(rows["n"].median()) if len(rows) else 0

    def limits(self, metric: str, statistic: str = "whole") -> tuple[float, float]:
        """95% limits of the value of the whole set, or of the official test part."""
        return self.value(f"{metric}_low", statistic), self.value(f"{metric}_high", statistic)

    def groups(self, statistic: str) -> int:
        """References or prompts behind a statistic; of test parts, the median. 0: the images stand alone."""
        groups = self.over("groups", statistic)
        return int(groups.median()) if len(groups) else 0

    def unfitted(self, statistic: str) -> bool:
        """Whether no rising curve beats a constant, on one part behind the statistic at least."""
        return bool((self.over("fitted", statistic) == 0).any())

    def curve(self, part: str = WHOLE) -> Fit | None:
        """The logistic of the whole set; of a method with a model per split, that of a part."""
        names = [f"fit_{k}" for k in ("top", "bottom", "middle", "width")]
        part = part if self.per_split else WHOLE
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


def groups_of(index: pd.DataFrame) -> int:
    """Groups of images of an index: references or prompts, or the images themselves where they share nothing."""
    clusters = clusters_of(index)
    return len(index) if clusters is None else len(np.unique(clusters))


def distinct_parts(index: pd.DataFrame) -> int:
    """Test parts of an index that hold different images."""
    return len({inside.tobytes() for name, inside in test_parts(index).items() if name != WHOLE})


def statistic_of(index: pd.DataFrame, wanted: str, per_split: bool = False) -> str:
    """The statistic that a set allows: the one wanted, or what its test parts are large enough for.

    A set of fewer than `MIN_GROUPS` groups is judged as a whole. per_split: of a method that has test parts alone.
    """
    large = {name for name, inside in test_parts(index).items() if inside.sum() >= MIN_N}
    allowed = {"whole": False, "median": bool(large.intersection(split_columns(index))), "official": OFFICIAL in large}
    whole = not per_split and (wanted == "whole" or groups_of(index) < MIN_GROUPS)
    order = [] if whole else [wanted, "median", "official"]
    return next((statistic for statistic in order if allowed[statistic]), "whole")


def read_results(paths: Paths, pairs: list[tuple[MethodCard, DatasetCard]]) -> list[Result]:
    """The results of all pairs, from their metrics files."""
    return [Result(m, d, read_metrics(paths.metrics(m.name, d.name)), paths) for m, d in pairs]
