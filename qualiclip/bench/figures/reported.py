"""Our SRCC beside the published one: both values, and their difference with its tolerance."""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qualiclip.bench.absence import NotRun
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import COLORS, HEIGHT, MARKERS, TEXT, Drawing
from qualiclip.bench.tables.reported import STATUSES
from qualiclip.bench.tables.tidy import read_tidy
from qualiclip.bench.workspace import Workspace

ROW, MARGIN = 0.15, 1.1  # inches: of a pair of values, and what axes and key take
KEYS = ["method", "dataset", "metric", "statistic"]
STYLE = dict(zip(("off", "range", "match", "other protocol"), zip(COLORS[1:], MARKERS, strict=False), strict=False))
SHOWN = [*KEYS, "value", "reported_low", "reported_high", "tolerance", "status", "source"]


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """What is off comes first. Raises NotRun where no published value can be put beside one of ours."""
    table = read_tidy(workspace.paths.results)
    table = table[table["status"].isin(STATUSES) & (table["metric"] == "srcc")].drop_duplicates(KEYS)
    if table.empty:
        raise NotRun("No SRCC is published of the methods and sets of this run.")
    data = table[SHOWN].sort_values("status", key=lambda s: s.map(list(STYLE).index), kind="stable")
    # the rows that there is room for, and the numbers of their sources
    shown = data.head(int((HEIGHT - MARGIN) / ROW))
    urls = list(dict.fromkeys(url for source in shown["source"] for url in source.split()))
    cards = workspace.all_methods | workspace.all_datasets
    short = {name: c.short or c.title for name, c in cards.items()}
    names = [f"{short[r.method]}, {short[r.dataset]}" for r in shown.itertuples()]
    counts = data["status"].value_counts()
    said = ", ".join(f"{counts[s]} {s}" for s in STYLE if s in counts)
    notes = [
        f"{len(data)} published SRCC: {said}. Right: ours minus the nearest published value; the bar is the tolerance. "
        "A value under another protocol has neither. Numbers in brackets are sources.",
        *([f"{len(data) - len(shown)} more are in the CSV file."] if len(shown) < len(data) else []),
        *(f"[{i}] {url}" for i, url in enumerate(urls, start=1)),
    ]
    return Drawing(partial(_paint, names, shown, urls), data, notes)


def _paint(names: list[str], rows: pd.DataFrame, urls: list[str], width: float) -> Figure:
    """Left both values, right their difference; the sources are links in the PDF."""
    size = (width, len(rows) * ROW + MARGIN)
    options = {"sharey": True, "layout": "constrained", "gridspec_kw": {"width_ratios": [1.2, 1]}}
    fig, (left, right) = plt.subplots(1, 2, figsize=size, **options)
    at = np.arange(len(rows))
    nearest = rows["value"].clip(rows["reported_low"], rows["reported_high"])
    apart = rows["value"] - nearest
    for status, (color, marker) in STYLE.items():
        of = (rows["status"] == status).to_numpy()
        if not of.any():
            continue
        mine, y = rows[of], at[of]
        # reported (hollow, a range with both of its ends) and ours
        left.hlines(y, mine[["value", "reported_low"]].min(axis=1), mine[["value", "reported_high"]].max(axis=1), color)
        for end in ("reported_low", "reported_high"):
            left.plot(mine[end], y, "o", color=color, markersize=4.5, markerfacecolor="white")
        left.plot(mine["value"], y, marker, linestyle="", color=color, markersize=3.5)
        # difference and tolerance, where there is one
        if mine["tolerance"].isna().all():
            left.plot([], [], marker, linestyle="", color=color, markersize=3.5, label=f"ours, {status}")
            continue
        right.barh(y, 2 * mine["tolerance"], left=-mine["tolerance"], color="0.85", height=0.8, zorder=0)
        right.plot(apart[of], y, marker, linestyle="", color=color, markersize=3.5, label=f"ours, {status}")
    left.plot([], [], "o", color="black", markersize=4.5, markerfacecolor="white", label="published")
    right.axvline(0, color="black", linewidth=0.6)
    left.set(yticks=at, yticklabels=names, ylim=(len(rows) - 0.4, -0.6), xlabel="SRCC")
    left.xaxis.set_major_locator(MaxNLocator(3, prune="both"))
    reach = 1.2 * max(0.004, *apart[rows["tolerance"].notna()].abs(), *rows["tolerance"].dropna())
    right.set(xlim=(-reach, reach), xlabel="difference")
    right.xaxis.set_major_locator(MaxNLocator(3, prune="both", symmetric=True))
    for y, source in zip(at, rows["source"], strict=True):
        numbers = [urls.index(url) + 1 for url in source.split()]
        text = f"[{', '.join(map(str, numbers))}]"
        right.text(1.02, y, text, url=source.split()[0], va="center", transform=right.get_yaxis_transform())
    for ax in (left, right):
        ax.tick_params(axis="y", length=0)
    handles = [h for ax in (left, right) for h in ax.get_legend_handles_labels()[0]]
    words = [text for ax in (left, right) for text in ax.get_legend_handles_labels()[1]]
    fig.legend(handles, words, loc="outside upper center", ncols=5 if width == TEXT else 2)
    return fig
