"""SRCC within each type of degradation, of the sets whose types are known: where a method fails."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from qualiclip.bench.absence import reason_of
from qualiclip.bench.formats import WHOLE, oriented, read_index
from qualiclip.bench.metrics.correlate import MIN_N
from qualiclip.bench.metrics.limits import closed_form, clustered, clusters_of
from qualiclip.bench.tables.kinds import groups_file, typed_pairs
from qualiclip.bench.tables.results import read_results
from qualiclip.bench.workspace import Workspace

COLUMNS = ["method", "dataset", "type", "group", "srcc", "low", "high", "n"]
OTHER = "other"  # group of a type that is none of ours


def within(scores: np.ndarray, labels: np.ndarray, clusters: np.ndarray | None) -> tuple[float, float, float, int]:
    """(SRCC, its 95% limits, n) of the images of one type; NaN for constant scores and for fewer than `MIN_N` images.

    scores, labels: (n,) oriented; images without a score are left out. clusters: (n,) what images share, or None.
    """
    inside = np.isfinite(scores)
    s, y, n = scores[inside], labels[inside], int(inside.sum())
    if n < MIN_N or np.ptp(s) == 0 or np.ptp(y) == 0:
        return np.nan, np.nan, np.nan, n
    srcc = float(spearmanr(s, y).statistic)
    limits = closed_form("srcc", srcc, n) if clusters is None else clustered(s, y, clusters[inside], ranks=True)
    return srcc, *limits, n


def by_type(workspace: Workspace) -> pd.DataFrame:
    """One row per method, set and type: ours in the order of their groups, then others by name.

    Methods that were not run, and sets that are not here, have no rows.
    """
    pairs, file = typed_pairs(workspace), groups_file(workspace)
    known = pairs and not reason_of(file)
    groups = pd.read_csv(file).drop_duplicates("type").set_index("type")["group"].to_dict() if known else {}
    order, rows = list(groups), []
    for r in read_results(workspace.paths, pairs):
        if r.refused:
            continue
        index = read_index(workspace.paths.index(r.dataset.name))
        scores, labels, clusters = r.scores([WHOLE])[0], oriented(index["mos"], r.dataset.labels), clusters_of(index)
        types = sorted(index["type"].unique(), key=lambda t: (order.index(t) if t in groups else len(order), t))
        for name in types:
            of = (index["type"] == name).to_numpy()
            values = within(scores[of], labels[of], None if clusters is None else clusters[of])
            rows.append((r.method.name, r.dataset.name, name, groups.get(name, OTHER), *values))
    return pd.DataFrame(rows, columns=COLUMNS)


def number_range(n: pd.Series) -> str:
    """The least and the greatest of several counts, or the one that they all are."""
    return f"{n.min()}" if n.nunique() == 1 else f"{n.min()} to {n.max()}"
