"""Who beats whom on each set: every pair of methods that compete on every set, tested on the whole set."""

from __future__ import annotations

import math
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from qualiclip.bench.absence import NotRun
from qualiclip.bench.captions import labels_note
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import COLORS, HEIGHT, TEXT, Drawing, wrapped
from qualiclip.bench.tables.standing import compared_results, standing
from qualiclip.bench.workspace import Workspace

ROW = 0.14  # inches: the height of a method
HEAD, KEY = 0.5, 0.4  # inches that titles and numbers of a row of panels take, and the key of the figure
WORSE, EQUAL, BETTER, SELF = -1, 0, 1, 2  # of the method of the row against that of the column
SHADES = {WORSE: COLORS[1], EQUAL: "#F2F2F2", BETTER: COLORS[0], SELF: "#B0B0B0"}
WORDS = {BETTER: "row is better", WORSE: "row is worse", EQUAL: "no significant difference"}


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The CSV holds every pair on every set. Raises NotRun where fewer than two methods compete on every set."""
    ranked = standing(compared_results(workspace), workspace)
    if len(ranked.methods) < 2:
        raise NotRun("Fewer than two methods compete on every set of this run.")
    order = np.argsort(ranked.ranks.mean(1), kind="stable")
    names = [ranked.methods[i].short or ranked.methods[i].title for i in order]
    titles = [d.short or d.title for d in ranked.datasets]
    # every set: (M, M), the methods in order
    won = ranked.wins[:, order][:, :, order]
    outcomes = won.astype(int) * BETTER + won.transpose(0, 2, 1) * WORSE
    outcomes[:, range(len(order)), range(len(order))] = SELF
    # CSV: one row per set and pair
    ids = [ranked.methods[i].name for i in order]
    columns = pd.MultiIndex.from_product(
        [[d.name for d in ranked.datasets], ids, ids], names=["dataset", "row", "than"]
    )
    data = pd.Series(outcomes.ravel(), index=columns, name="better").reset_index()
    data = data[data["better"] != SELF]
    notes = [
        *labels_note(ranked.datasets),
        "SRCC on whole sets; all pairs of a set tested, Holm-corrected, 5%. Methods by their mean rank over the sets, "
        "columns by the same numbers. A method that has seen labels of one of the sets is not compared.",
    ]
    return Drawing(partial(_paint, names, titles, outcomes), data, notes)


def _grid(n: int, width: float) -> tuple[int, int]:
    """Rows and columns of n panels."""
    most = (3 if n <= 6 else 4 if n <= 12 else 5) if width == TEXT else 2
    columns = min(n, most)
    return math.ceil(n / columns), columns


def _paint(names: list[str], titles: list[str], outcomes: np.ndarray, width: float) -> Figure:
    """One panel per set, with as many of the best methods as there is room for."""
    n_rows, n_columns = _grid(len(titles), width)
    most = min(len(names), int(((HEIGHT - KEY) / n_rows - HEAD) / ROW))
    size = (width, n_rows * (most * ROW + HEAD) + KEY)
    fig, axes = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, layout="constrained")
    shades = ListedColormap([SHADES[k] for k in sorted(SHADES)])
    room = (width - (1.6 if width == TEXT else 1.3)) / n_columns
    step = 1 if room / most > 0.15 else 5
    ticks = [k for k in range(most) if k == 0 or (k + 1) % step == 0]
    for k, ax in enumerate(axes.flat):
        if k >= len(titles):
            ax.set_axis_off()
            continue
        part = outcomes[k, :most, :most]
        ax.imshow(part, cmap=shades, vmin=WORSE, vmax=SELF, aspect="auto", interpolation="nearest")
        ax.set(xticks=ticks, xticklabels=[i + 1 for i in ticks])
        first = k % n_columns == 0
        ax.set(yticks=range(most), yticklabels=[f"{n} {i}" for i, n in enumerate(names[:most], 1)] if first else [])
        ax.set_title(wrapped(titles[k], room))
        # white lines between the cells
        ax.set_xticks(np.arange(most) - 0.5, minor=True)
        ax.set_yticks(np.arange(most) - 0.5, minor=True)
        ax.grid(which="minor", color="white", linewidth=0.5)
        ax.tick_params(which="both", length=0)
        ax.spines[:].set_visible(False)
    patches = [Patch(color=SHADES[k], label=text) for k, text in WORDS.items()]
    fig.legend(handles=patches, loc="outside upper center", ncols=3 if width == TEXT else 2)
    return fig
