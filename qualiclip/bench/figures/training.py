"""The three loss terms against the training step, one panel per method."""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.figures.style import COLORS, TEXT, Drawing
from qualiclip.bench.workspace import Workspace
from qualiclip.io import read_json

TERMS = {  # term -> name, and dashes: two of the lines often lie on each other
    "consistency": (r"$L_\mathrm{cons}$", "-"),
    "positive": (r"$L_\mathrm{pos}$", "-"),
    "negative": (r"$L_\mathrm{neg}$", (0, (4, 2))),
}
WINDOW = 0.04  # of the steps, behind a running mean


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The CSV holds every step, with the rank consistency on held-out photos where it was measured."""
    methods = workspace.figure_methods(card)
    tables, notes = [], []
    for m in methods:
        record = read_json(workspace.paths.train_record(m.variant))
        curve = pd.DataFrame(record["curve"])
        if curve.empty:
            raise CardError(f"{card.path}: methods: {m.name} was not trained (0 steps) and has no loss curve")
        tables.append(curve.assign(method=m.name))
        notes.append(
            f"{m.title}: after it, {record['rank_consistency']:.1%} of the pairs of levels of a held-out photo are "
            "ranked right."
        )
    data = pd.concat(tables, ignore_index=True)
    return Drawing(partial(_paint, methods, data), data, notes)


def _paint(methods: list[MethodCard], data: pd.DataFrame, width: float) -> Figure:
    """Each term faint as it was, and clear as a running mean; the axes are shared, the losses logarithmic."""
    size = (width, 2.6)
    fig, axes = plt.subplots(1, len(methods), figsize=size, squeeze=False, sharey=True, layout="constrained")
    lowest = []
    for m, ax in zip(methods, axes[0], strict=True):
        curve = data[data["method"] == m.name]
        for (term, (name, dashes)), color in zip(TERMS.items(), COLORS, strict=False):
            smooth = curve[term].rolling(max(1, round(WINDOW * len(curve))), min_periods=1).mean()
            ax.plot(curve["step"], curve[term], color=color, alpha=0.2, linewidth=0.5)
            ax.plot(curve["step"], smooth, color=color, linestyle=dashes, linewidth=1.4, label=name)
            lowest.append(smooth[smooth > 0].min())
        ax.set(title=m.short or m.title, xlabel="step", yscale="log")
    axes[0, 0].set_ylabel("loss")
    axes[0, 0].set_ylim(bottom=0.5 * pd.Series(lowest).min())
    axes[0, -1].legend(loc="upper right", ncols=3 if width == TEXT else 1)
    return fig
