"""t-SNE (van der Maaten and Hinton 2008; scikit-learn) of the features of degraded photos."""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from qualiclip.bench.captions import group_title
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.figures.style import COLORS, MARKERS, TEXT, Drawing, bare
from qualiclip.bench.workspace import Workspace

LEVELS = plt.get_cmap("viridis_r")(np.linspace(0.2, 1, 5))  # light to dark: levels 1 to 5


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The CSV holds the points."""
    methods = workspace.figure_methods(card)
    tables = []
    for m in methods:
        view = dict(np.load(workspace.paths.explain(m.name)))
        n = len(view["features"])
        at = TSNE(perplexity=min(30.0, (n - 1) / 3), init="pca", random_state=0).fit_transform(view["features"])
        points = pd.DataFrame({"method": m.name, "x": at[:, 0], "y": at[:, 1]})
        tables.append(points.assign(type=view["type"], group=view["group"], level=view["level"]))
    points = pd.concat(tables, ignore_index=True)
    photos = int((tables[0]["level"] == 0).sum())
    notes = [f"n = {photos} photos, each under all types of degradation at five levels."]
    return Drawing(partial(_paint, methods, points), points, notes)


def _untouched(ax: Axes, points: pd.DataFrame) -> None:
    at = points[points["level"] == 0]
    ax.scatter(at["x"], at["y"], marker="*", s=45, facecolor="white", edgecolor="black", zorder=3, label="untouched")


def _paint(methods: list[MethodCard], points: pd.DataFrame, width: float) -> Figure:
    """One row per method: the same points by group, and by level."""
    size = (width, (0.42 if width == TEXT else 0.5) * width * len(methods) + (0.7 if width == TEXT else 1.4))
    fig, axes = plt.subplots(len(methods), 2, figsize=size, squeeze=False, layout="constrained")
    area = 10 if width == TEXT else 5
    for m, (by_group, by_level) in zip(methods, axes, strict=True):
        mine = points[points["method"] == m.name]
        for i, (group, p) in enumerate(mine[mine["level"] > 0].groupby("group", sort=False)):
            style = {"color": COLORS[i], "marker": MARKERS[i], "s": area, "linewidths": 0}
            by_group.scatter(p["x"], p["y"], label=group_title(group), **style)
        for level, color in enumerate(LEVELS, start=1):
            p = mine[mine["level"] == level]
            by_level.scatter(p["x"], p["y"], color=[color], s=area, linewidths=0, label=f"level {level}")
        for ax in (by_group, by_level):
            _untouched(ax, mine)
            bare(ax)
        by_group.set_ylabel(m.short or m.title)
    # one legend for either column
    columns = 2 if width == TEXT else 1
    for ax, place in ((axes[0, 0], "outside upper left"), (axes[0, 1], "outside upper right")):
        legend = fig.legend(*ax.get_legend_handles_labels(), loc=place, ncols=columns, markerscale=2)
        legend.set_in_layout(ax is axes[0, 0])  # room for the higher of the two
    return fig
