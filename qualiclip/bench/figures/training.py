"""The three loss terms against the training step, one panel per method."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import COLORS, Drawing
from qualiclip.bench.workspace import Workspace
from qualiclip.io import read_json

TERMS = {"consistency": "$L_{cons}$", "positive": "$L_{pos}$", "negative": "$L_{neg}$"}


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """Each term faint as it was, and clear as a running mean.

    The CSV holds every step, with the rank consistency on held-out photos where it was measured.
    """
    methods = workspace.figure_methods(card)
    fig, axes = plt.subplots(1, len(methods), figsize=(3.6 * len(methods), 2.6), squeeze=False, layout="constrained")
    tables = []
    for m, ax in zip(methods, axes[0], strict=True):
        record = read_json(workspace.paths.train_record(m.variant))
        curve = pd.DataFrame(record["curve"])
        if curve.empty:
            raise CardError(f"{card.path}: methods: {m.name} was not trained (0 steps) and has no loss curve")
        tables.append(curve.assign(method=m.name))
        title = f"{m.title}: rank consistency {record['rank_consistency']:.3f}"
        ax.set(title=title, xlabel="step", ylabel="loss")
        for (term, name), color in zip(TERMS.items(), COLORS, strict=False):
            smooth = curve[term].rolling(max(1, len(curve) // 25), min_periods=1).mean()
            ax.plot(curve["step"], curve[term], color=color, alpha=0.15, linewidth=0.5)
            ax.plot(curve["step"], smooth, color=color, label=name)
        ax.set_ylim(bottom=0)
        ax.legend(frameon=False, fontsize=7)
    return Drawing(fig, pd.concat(tables, ignore_index=True))
