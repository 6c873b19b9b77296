"""Mean score against intensity per degradation group, one panel per method (Fig. 1 of the paper)."""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from qualiclip.bench.captions import group_title
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.figures.style import COLORS, MARKERS, TEXT, Drawing, wrapped
from qualiclip.bench.workspace import Workspace


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The CSV holds mean and standard error over photos, per method, group and intensity."""
    methods = workspace.figure_methods(card)
    tables = []
    for m in methods:
        table = pd.read_csv(workspace.paths.intensity(m.name))
        # first over the types of a group: photos are independent, the types of one photo are not
        by_photo = table.groupby(["group", "intensity", "image"], sort=False)["score"].mean()
        means = by_photo.groupby(["group", "intensity"], sort=False).agg(["mean", "sem"]).reset_index()
        tables.append(means.assign(method=m.name))
    data = pd.concat(tables, ignore_index=True)
    n = table["image"].nunique()
    notes = [f"n = {n} photos; bands: one standard error of the mean over photos. Intensity 1 is level 5."]
    return Drawing(partial(_paint, methods, data), data, notes)


def _paint(methods: list[MethodCard], data: pd.DataFrame, width: float) -> Figure:
    """Methods of one range of scores share the axis."""
    shared = len({m.range for m in methods}) == 1
    size = (width, 3.0 if width == TEXT else 3.4)
    fig, axes = plt.subplots(1, len(methods), figsize=size, squeeze=False, sharey=shared, layout="constrained")
    for ax, m in zip(axes[0], methods, strict=True):
        mine = data[data["method"] == m.name]
        for i, (group, rows) in enumerate(mine.groupby("group", sort=False)):
            style = {"color": COLORS[i], "marker": MARKERS[i], "markersize": 3.5, "linewidth": 1.2, "clip_on": False}
            ax.plot(rows["intensity"], rows["mean"], label=group_title(group), **style)
            low, high = rows["mean"] - rows["sem"], rows["mean"] + rows["sem"]
            ax.fill_between(rows["intensity"], low, high, color=COLORS[i], alpha=0.15, linewidth=0)
        ax.set(title=wrapped(m.short or m.title, width / len(methods) - 0.4), xlabel="intensity", xlim=(0, 1))
    axes[0, 0].set_ylabel("mean score")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=4 if width == TEXT else 2)
    return fig
