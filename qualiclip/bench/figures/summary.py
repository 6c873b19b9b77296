"""Methods by datasets: SRCC with 95% limits, families as blocks, and the mean rank of what competes on every set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qualiclip.bench.absence import NotRun
from qualiclip.bench.captions import FAMILIES, labels_note
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import COLORS, HEIGHT, MARKERS, TEXT, Drawing, wrapped
from qualiclip.bench.tables.results import Result
from qualiclip.bench.tables.standing import Standing, compared_results, standing
from qualiclip.bench.workspace import Workspace

ROW, MARGIN = 0.135, 1.5  # inches: of a method, and what titles, axes and key take
GREY = "#8A8A8A"  # of the controls
COLUMNS = ["method", "family", "dataset", "srcc", "low", "high", "n", "seen", "mean_rank", "rank_low", "rank_high"]


@dataclass
class Rows:
    """What is drawn: names from the top down, and the rows of `data` of each set."""

    names: dict[str, str]  # method -> as it is printed
    families: dict[str, str]
    datasets: list[DatasetCard]
    data: pd.DataFrame


def _data(results: list[Result], ranked: Standing) -> pd.DataFrame:
    """One row per method and set that has a value."""
    ranks = {m.name: (r.mean(), *p) for m, r, p in zip(ranked.methods, ranked.ranks, ranked.places, strict=True)}
    rows = []
    for r in results:
        value = r.value("srcc", "whole")
        if not r.refused and np.isfinite(value):
            of_set = (value, *r.limits("srcc"), r.n("whole"), r.leaked)
            rows.append(
                (r.method.name, r.method.family, r.dataset.name, *of_set, *ranks.get(r.method.name, [np.nan] * 3))
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _order(data: pd.DataFrame, most: int) -> list[str]:
    """Methods by family and mean SRCC; of the largest families the best, where there are more than `most`."""
    means = data.groupby(["family", "method"])["srcc"].mean().sort_values(ascending=False)
    blocks = {f: list(means[f].index) for f in FAMILIES if f in means.index.get_level_values("family")}
    while sum(map(len, blocks.values())) > most:
        max(blocks.values(), key=len).pop()
    return [name for block in blocks.values() for name in block]


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The CSV holds every method, also those that there is no room for. Raises NotRun where nothing was scored."""
    results = compared_results(workspace)
    ranked = standing(results, workspace)
    data = _data(results, ranked)
    if data.empty:
        raise NotRun("No method has a result on a whole set.")
    # what there is room for
    methods = {r.method.name: r.method for r in results}
    order = _order(data, int((HEIGHT - MARGIN) / ROW) - data["family"].nunique())
    names = {n: methods[n].short or methods[n].title for n in order}
    datasets = [d for d in {r.dataset.name: r.dataset for r in results}.values() if (data["dataset"] == d.name).any()]
    rows = Rows(names, {n: methods[n].family for n in order}, datasets, data)
    # what must be said
    n = ", ".join(f"{d.short or d.title} {data.loc[data['dataset'] == d.name, 'n'].max()}" for d in datasets)
    notes = [*labels_note(datasets), f"SRCC of the whole set with 95% limits; 1 is perfect, the line is 0. n: {n}."]
    if data["seen"].any():
        notes.append("Hollow: the method has seen human labels of that set.")
    if len(ranked.methods) > 1:
        notes.append(
            f"Mean rank of the {len(ranked.methods)} methods that compete on every set, 1 is the best; bars: mean of "
            "the best and of the worst rank that the data of a set allow (all pairs tested, Holm-corrected, 5%)."
        )
    left_out = data["method"].nunique() - len(order)
    notes += [f"{left_out} methods of lower mean SRCC are in the CSV file alone."] * bool(left_out)
    if silent := sorted({r.method.name for r in results if r.refused} - set(data["method"])):
        notes.append(f"{len(silent)} methods were not run.")
    return Drawing(partial(_paint, rows), data, notes)


def _places(rows: Rows) -> tuple[dict[str, float], dict[str, float]]:
    """Height of each method, and of the name of each family above its first method; downwards from 0."""
    methods: dict[str, float] = {}
    families: dict[str, float] = {}
    for k, (name, family) in enumerate(rows.families.items()):
        if family not in families:
            families[family] = k + len(families)
        methods[name] = k + len(families)
    return methods, families


def _dots(ax: Axes, at: pd.Series, values: pd.DataFrame, columns: tuple[str, str, str], style: dict[str, dict]) -> None:
    """Dots with bars. at: height of each row of `values`; columns: value, low, high; style: by family."""
    value, low, high = columns
    for family, rows in values.groupby("family"):
        ax.hlines(at[rows.index], rows[low], rows[high], color=style[family]["color"], linewidth=0.9)
        seen = rows["seen"].to_numpy(bool)
        for hollow in (False, True):
            dots = rows[seen == hollow]
            face = "white" if hollow else style[family]["color"]
            ax.plot(dots[value], at[dots.index], linestyle="", markersize=3.5, markerfacecolor=face, **style[family])


def _paint(rows: Rows, width: float) -> Figure:
    """One panel per set and one for the mean rank, which share the rows."""
    heights, headers = _places(rows)
    data = rows.data[rows.data["method"].isin(rows.names)]
    ranked = data.dropna(subset="mean_rank").drop_duplicates("method").assign(seen=False)
    with_ranks = len(ranked) > 1
    n_panels = len(rows.datasets) + with_ranks
    shown = {f: i for i, f in enumerate(f for f in FAMILIES if f in set(rows.families.values()))}
    style = {f: {"color": GREY if f == "control" else COLORS[i], "marker": MARKERS[i]} for f, i in shown.items()}
    n_rows = len(heights) + len(headers)
    fig, axes = plt.subplots(
        1, n_panels, figsize=(width, n_rows * ROW + MARGIN - 0.3), sharey=True, squeeze=False, layout="constrained"
    )
    fig.get_layout_engine().set(w_pad=0.02, wspace=0)
    room = (width - (1.6 if width == TEXT else 1.3)) / n_panels
    # one panel per set
    lowest = min(-0.05, max(-1.0, float(data["low"].min())))
    for ax, d in zip(axes[0], rows.datasets, strict=False):
        of_set = data[data["dataset"] == d.name]
        _dots(ax, of_set["method"].map(heights), of_set, ("srcc", "low", "high"), style)
        ax.axvline(0, color="black", linewidth=0.6)
        ticks = [0, 0.5, 1] if room > 0.9 else [0, 1] if room > 0.3 else []
        ax.set(xlim=(lowest, 1.05), xticks=ticks, xticklabels=[f"{t:g}" for t in ticks])
        _title(ax, d.short or d.title, room)
    # and one for the ranks
    if with_ranks:
        ax = axes[0, -1]
        _dots(ax, ranked["method"].map(heights), ranked, ("mean_rank", "rank_low", "rank_high"), style)
        last = int(ranked["rank_high"].max())
        ax.set(xlim=(0.5, last + 0.5), xticks=[1, last] if room > 0.3 else [])
        _title(ax, "mean rank", room)
    # names of methods and families
    labels = {h: (f"{FAMILIES[f][0].upper()}{FAMILIES[f][1:]}", True) for f, h in headers.items()}
    labels |= {h: (rows.names[name], False) for name, h in heights.items()}
    axes[0, 0].set(ylim=(n_rows - 0.4, -0.6), yticks=list(labels), yticklabels=[text for text, _ in labels.values()])
    for label, (_, bold) in zip(axes[0, 0].get_yticklabels(), labels.values(), strict=True):
        label.set_fontweight("bold" if bold else "normal")
    for ax in axes[0]:
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        for h in heights.values():
            ax.axhline(h, color="0.93", linewidth=0.5, zorder=0)
    return fig


def _title(ax: Axes, title: str, room: float) -> None:
    """The title of a panel, upright where it has no room to lie."""
    if room > 0.65:
        ax.set_title(wrapped(title, room - 0.05))
    else:
        ax.set_title(title, rotation=90, va="bottom")
