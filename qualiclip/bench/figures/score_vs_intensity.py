"""Mean score against intensity per degradation group, one panel per method (Fig. 1 of the paper)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import COLORS, MARKERS, Drawing
from qualiclip.bench.workspace import Workspace


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The CSV holds mean and standard error per method, group and intensity."""
    methods = workspace.figure_methods(card)
    fig, axes = plt.subplots(1, len(methods), figsize=(3.4 * len(methods), 2.9), squeeze=False, layout="constrained")
    tables = []
    for ax, m in zip(axes[0], methods, strict=True):
        table = pd.read_csv(workspace.paths.intensity(m.name))
        means = table.groupby(["group", "intensity"], sort=False)["score"].agg(["mean", "sem"]).reset_index()
        tables.append(means.assign(method=m.name))
        for i, (group, rows) in enumerate(means.groupby("group", sort=False)):
            style = {"color": COLORS[i], "marker": MARKERS[i], "markersize": 3.5, "linewidth": 1.2}
            ax.plot(rows["intensity"], rows["mean"], label=group.replace("_", " and "), **style)
        ax.set(title=m.title, xlabel="intensity (1: level 5)", xlim=(0, 1))
    axes[0, 0].set_ylabel("mean score")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=7)
    return Drawing(fig, pd.concat(tables, ignore_index=True))
