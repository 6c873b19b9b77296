"""SRCC within each type of degradation as a heat map: types by rows, methods by columns."""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from qualiclip.bench.absence import NotRun
from qualiclip.bench.captions import labels_note, type_title
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import HEIGHT, TEXT, Drawing
from qualiclip.bench.tables.by_type import by_type, number_range
from qualiclip.bench.workspace import Workspace

CELL, NAMES = 0.14, 1.55  # inches: the height of a type, and the width of its name
HEADS = 1.9  # inches that names of methods, titles and the colour bar take


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """Methods from the highest median on. Raises NotRun where no set states the types of its images."""
    data = by_type(workspace)
    if data.empty:
        raise NotRun("No set of this run states the type of degradation of its images.")
    methods, datasets = workspace.all_methods, workspace.all_datasets
    order = data.groupby("method")["srcc"].median().sort_values(ascending=False).index
    grids = {
        datasets[name].title: rows.pivot(index="type", columns="method", values="srcc")
        .reindex(index=rows["type"].unique(), columns=order)
        .rename(index=type_title, columns=lambda m: methods[m].short or methods[m].title)
        for name, rows in data.groupby("dataset", sort=False)
    }
    shown = [datasets[name] for name in data["dataset"].unique()]
    notes = [
        *labels_note(shown),
        f"SRCC within the images of one type, 1 is perfect. Images of a type, n: {number_range(data['n'])}. "
        "Methods from the highest median on; as many as there is room for, all are in the CSV file.",
    ]
    groups = {datasets[name].title: _edges(rows) for name, rows in data.groupby("dataset", sort=False)}
    return Drawing(partial(_paint, grids, groups), data, notes)


def _edges(rows: pd.DataFrame) -> list[int]:
    """Rows of the grid before which another group of types begins."""
    groups = rows.drop_duplicates("type")["group"].tolist()
    return [i for i in range(1, len(groups)) if groups[i] != groups[i - 1]]


def _paint(grids: dict[str, pd.DataFrame], edges: dict[str, list[int]], width: float) -> Figure:
    """One panel per set, one below the other, with the same methods."""
    n_types = sum(map(len, grids.values()))
    cell = min(CELL, (HEIGHT - HEADS - 0.2 * len(grids)) / n_types)
    most = int((width - NAMES - 0.2) / CELL)
    heights = [len(g) for g in grids.values()]
    size = (width, n_types * cell + HEADS + 0.2 * (len(grids) - 1))
    fig, axes = plt.subplots(
        len(grids), 1, figsize=size, squeeze=False, layout="constrained", gridspec_kw={"height_ratios": heights}
    )
    for k, (ax, (title, grid)) in enumerate(zip(axes[:, 0], grids.items(), strict=True)):
        part = grid.iloc[:, :most]
        picture = ax.imshow(part.to_numpy(), cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
        ax.set(yticks=range(len(part)), yticklabels=part.index, xticks=range(part.shape[1]), xticklabels=part.columns)
        for edge in edges[title]:
            ax.axhline(edge - 0.5, color="black", linewidth=0.6)
        ax.tick_params(length=0)
        ax.tick_params(axis="x", labelrotation=90, labelbottom=k == len(grids) - 1)
        ax.set_title(title)
        ax.spines[:].set_visible(False)
    bar = fig.colorbar(picture, ax=axes[:, 0].tolist(), location="top", aspect=40, pad=0.02, fraction=0.05)
    bar.set_ticks([-1, -0.5, 0, 0.5, 1], labels=["−1", "−0.5", "0", "0.5", "1"])
    bar.outline.set_visible(False)
    bar.set_label("SRCC within the type" if width == TEXT else "SRCC")
    return fig
