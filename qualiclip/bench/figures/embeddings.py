"""t-SNE (van der Maaten and Hinton 2008; scikit-learn) of the features of degraded photos."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.manifold import TSNE

from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import COLORS, MARKERS, Drawing, bare
from qualiclip.bench.workspace import Workspace


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """One row per method: the same points coloured by group and by level; the CSV holds the points."""
    methods = workspace.figure_methods(card)
    fig, axes = plt.subplots(len(methods), 2, figsize=(7.1, 3.3 * len(methods)), squeeze=False, layout="constrained")
    tables = []
    for m, (by_group, by_level) in zip(methods, axes, strict=True):
        view = dict(np.load(workspace.paths.explain(m.name)))
        n = len(view["features"])
        at = TSNE(perplexity=min(30.0, (n - 1) / 3), init="pca", random_state=0).fit_transform(view["features"])
        points = pd.DataFrame({"method": m.name, "x": at[:, 0], "y": at[:, 1]})
        points = points.assign(type=view["type"], group=view["group"], level=view["level"])
        tables.append(points)
        untouched = points[points["level"] == 0]
        for i, (group, p) in enumerate(points[points["level"] > 0].groupby("group", sort=False)):
            style = {"color": COLORS[i], "marker": MARKERS[i], "s": 9, "linewidths": 0, "alpha": 0.8}
            by_group.scatter(p["x"], p["y"], label=group.replace("_", " and "), **style)
        by_group.scatter(
            untouched["x"], untouched["y"], marker="*", s=60, facecolor="white", edgecolor="black", label="untouched"
        )
        dots = by_level.scatter(points["x"], points["y"], c=points["level"], cmap="viridis_r", s=9, linewidths=0)
        fig.colorbar(dots, ax=by_level, label="level", ticks=range(6))
        by_group.set_title(f"{m.title}: by group", fontsize=8)
        by_level.set_title("by level", fontsize=8)
        for ax in (by_group, by_level):
            bare(ax)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=7)
    return Drawing(fig, pd.concat(tables, ignore_index=True))
