"""Scores of whole photos at smaller sizes: how far they move, and whether the photos keep their order."""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.figures.style import COLORS, MARKERS, TEXT, Drawing
from qualiclip.bench.workspace import Workspace


def _curve(table: pd.DataFrame, higher_better: bool) -> pd.DataFrame:
    """Of one method by factor: mean change of the oriented score and its standard error, in units of the standard
    deviation over the whole photos; SRCC with the scores of the whole photos; n."""
    scores = table.pivot(index="image", columns="factor", values="score") * (1 if higher_better else -1)
    whole = scores[1.0]
    change = scores.sub(whole, axis=0) / whole.std()
    facts = change.agg(["mean", "sem", "count"]).T.rename(columns={"count": "n"})
    return facts.assign(srcc=scores.corr("spearman")[1.0]).reset_index()


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """A photo that a method cannot score at some size is left out there; the CSV holds n."""
    methods = workspace.figure_methods(card)
    tables = {m.name: pd.read_csv(workspace.paths.sizes(m.name)) for m in methods}
    curves = [_curve(tables[m.name], m.higher_better).assign(method=m.name) for m in methods]
    data = pd.concat(curves, ignore_index=True)
    n = max(table["image"].nunique() for table in tables.values())
    notes = [
        f"n = {n} photos. Left: mean change of the score, positive where the smaller photo is taken for better, "
        "in standard deviations over the whole photos; bands: one standard error. Right: SRCC of the scores of the "
        "smaller and of the whole photos; 1 is the same order.",
    ]
    for m in methods:
        missing = tables[m.name].loc[tables[m.name]["score"].isna(), "factor"]
        if len(missing):
            notes.append(f"{m.title}: {len(missing)} scores are missing, up to {missing.max():g} times the size.")
    return Drawing(partial(_paint, methods, data), data, notes)


def _paint(methods: list[MethodCard], data: pd.DataFrame, width: float) -> Figure:
    """Change beside order; methods share their colour."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(width, 2.6), layout="constrained")
    for i, m in enumerate(methods):
        rows = data[data["method"] == m.name]
        style = {"color": COLORS[i], "marker": MARKERS[i], "markersize": 3.5, "linewidth": 1.2}
        left.plot(rows["factor"], rows["mean"], label=m.short or m.title, **style)
        low, high = rows["mean"] - rows["sem"], rows["mean"] + rows["sem"]
        left.fill_between(rows["factor"], low, high, color=COLORS[i], alpha=0.15, linewidth=0)
        right.plot(rows["factor"], rows["srcc"], **style)
    left.axhline(0, color="black", linewidth=0.6)
    ticks = sorted(data["factor"].unique())
    names = [f"{t:g}" for t in ticks]
    for ax in (left, right):
        ax.set(xscale="log", xticks=ticks, xticklabels=names, xlabel="size, times the photo's")
        ax.minorticks_off()
    left.set_ylabel("change of the score / SD")
    right.set(ylabel="SRCC with whole photos", ylim=(min(0.0, float(data["srcc"].min())) - 0.03, 1.03))
    fig.legend(loc="outside upper center", ncols=4 if width == TEXT else 2)
    return fig
