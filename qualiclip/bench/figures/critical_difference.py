"""Mean ranks over many sets, and how far apart two of them must be (Demsar, JMLR 2006)."""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import friedmanchisquare, studentized_range

from qualiclip.bench.absence import NotRun
from qualiclip.bench.captions import labels_note
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import COLORS, HEIGHT, Drawing
from qualiclip.bench.metrics.significance import ALPHA
from qualiclip.bench.tables.standing import compared_results, standing
from qualiclip.bench.workspace import Workspace

SETS, METHODS = 5, 3  # of fewer, mean ranks say too little
ROW, MARGIN = 0.15, 0.75  # inches: of a method, and of axes and key
GREY = "#8A8A8A"


def critical_difference(n_methods: int, n_sets: int) -> float:
    """The difference of two mean ranks that is significant at 5% (Nemenyi; Demsar 2006, section 3.2.2)."""
    q = studentized_range.ppf(1 - ALPHA, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_sets)))


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """Methods from the best mean rank on. Raises NotRun for fewer than five sets or three methods."""
    ranked = standing(compared_results(workspace), workspace)
    m, n = len(ranked.methods), len(ranked.datasets)
    if n < SETS or m < METHODS:
        raise NotRun(
            f"It needs {SETS} sets and {METHODS} methods that compete on all of them; this run has {n} and {m}."
        )
    ranks, apart = ranked.ranks.mean(1), critical_difference(m, n)
    p = float(friedmanchisquare(*ranked.srcc).pvalue)
    facts = {"method": [x.name for x in ranked.methods], "mean_rank": ranks}
    facts |= {"low": ranks - apart / 2, "high": ranks + apart / 2, "like_the_best": ranks - ranks.min() < apart}
    data = pd.DataFrame(facts).sort_values("mean_rank", kind="stable")
    shown = data.head(int((HEIGHT - MARGIN) / ROW))
    names = [workspace.all_methods[name].short or workspace.all_methods[name].title for name in shown["method"]]
    notes = [
        *labels_note(ranked.datasets),
        f"Mean rank by whole-set SRCC over {n} sets, of the {m} methods that compete on all of them; 1 is the best. "
        "Two methods whose bars do not touch differ significantly: Nemenyi's test at 5%, critical difference "
        f"{apart:.2f}. Friedman's test of equal methods: p = {p:.2g}. Blue: not different from the best.",
        *([f"{m - len(shown)} more are in the CSV file."] if len(shown) < m else []),
    ]
    return Drawing(partial(_paint, names, shown), data, notes)


def _paint(names: list[str], rows: pd.DataFrame, width: float) -> Figure:
    """Each method with its mean rank and a bar of one critical difference."""
    fig, ax = plt.subplots(figsize=(width, len(rows) * ROW + MARGIN), layout="constrained")
    at = np.arange(len(rows))
    colors = np.where(rows["like_the_best"], COLORS[0], GREY)
    ax.axvspan(rows["low"].iloc[0], rows["high"].iloc[0], color=COLORS[0], alpha=0.08, linewidth=0)
    ax.hlines(at, rows["low"], rows["high"], colors=colors, linewidth=1.2)
    ax.scatter(rows["mean_rank"], at, c=colors, s=14, zorder=3)
    last = int(rows["mean_rank"].max() + 0.5)
    ax.set_xticks([1, *range(5, last + 1, 5)] if last > 5 else range(1, last + 1))
    ax.set(yticks=at, yticklabels=names, ylim=(len(rows) - 0.4, -0.6), xlabel="mean rank")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    return fig
