"""How the methods stand to each other over all sets: who is significantly better where, and the ranks that follow.

Only methods that compete on every set have a standing: none that has seen labels of one of them, and no yardstick.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import rankdata

from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import WHOLE, has_labels, oriented, read_index
from qualiclip.bench.metrics.limits import clusters_of
from qualiclip.bench.metrics.significance import Comparison, all_pairs, compare, places, wins
from qualiclip.bench.tables.results import Result, read_results
from qualiclip.bench.workspace import Workspace


@dataclass(frozen=True)
class Standing:
    """M methods on D sets. srcc: (M, D) of the whole sets. comparisons: of each set."""

    methods: list[MethodCard]
    datasets: list[DatasetCard]
    srcc: np.ndarray
    comparisons: list[Comparison]

    @cached_property
    def wins(self) -> np.ndarray:
        """(D, M, M) whether the row is significantly better than the column; Holm-corrected within each set, 5%."""
        m = len(self.methods)
        return np.array([wins(c.z, all_pairs(c)) for c in self.comparisons], bool).reshape(-1, m, m)

    @cached_property
    def ranks(self) -> np.ndarray:
        """(M, D) rank on each set, 1 is the best; ties share theirs."""
        return rankdata(-self.srcc, axis=0) if self.methods else np.empty((0, len(self.datasets)))

    @cached_property
    def places(self) -> np.ndarray:
        """(M, 2) mean over the sets of the best and of the worst rank that the data allow."""
        return np.array([places(won) for won in self.wins]).mean(0) if self.methods else np.empty((0, 2))


def compared_results(workspace: Workspace) -> list[Result]:
    """The results of all compared pairs."""
    return read_results(workspace.paths, workspace.on_whole_sets())


def standing(results: list[Result], workspace: Workspace) -> Standing:
    """The standing over all sets of `results` that are here. results: of `compared_results`.

    No method has one where labels of a set are not here: a release may not carry them.
    """
    datasets = list({r.dataset.name: r.dataset for r in results if not r.not_here}.values())
    by_pair = {(r.method.name, r.dataset.name): r for r in results if r.competes}
    # methods with a value on every set
    values = {
        m.name: [
            by_pair[m.name, d.name].value("srcc", "whole") if (m.name, d.name) in by_pair else np.nan for d in datasets
        ]
        for m in {r.method.name: r.method for r in results}.values()
    }
    indices = [read_index(workspace.paths.index(d.name)) for d in datasets]
    ranked = values if all(map(has_labels, indices)) else {}
    names = [name for name, of_sets in ranked.items() if of_sets and np.isfinite(of_sets).all()]
    # all pairs on each set
    comparisons = []
    for d, index in zip(datasets, indices, strict=True) if names else ():
        scores = np.stack([by_pair[name, d.name].scores([WHOLE])[0] for name in names])
        comparisons.append(compare(scores, oriented(index["mos"], d.labels), True, clusters_of(index)))
    methods = [workspace.all_methods[name] for name in names]
    srcc = np.array([values[name] for name in names]).reshape(len(names), len(datasets))
    return Standing(methods, datasets, srcc, comparisons)
