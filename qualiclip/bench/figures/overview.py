"""A training step as boxes and arrows (Fig. 3 of the paper)."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.kinds import main_variant
from qualiclip.bench.figures.style import COLORS, Drawing
from qualiclip.bench.workspace import Workspace


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The settings are those of the first variant of the scale."""
    train = main_variant(workspace)
    boxes = {  # name -> left, bottom, width, height, colour, text
        "photo": (0.0, 1.55, 1.5, 1.1, "#dddddd", "pristine\nphoto"),
        "one": (2.1, 2.5, 1.6, 0.9, COLORS[5], f"crop $x_1$\n{train.crop} px"),
        "two": (2.1, 0.8, 1.6, 0.9, COLORS[5], f"crop $x_2$\n{train.crop} px"),
        "ladder one": (4.3, 2.5, 2.1, 0.9, COLORS[4], f"levels 1 to {train.levels}\nmild to severe"),
        "ladder two": (4.3, 0.8, 2.1, 0.9, COLORS[4], f"levels 1 to {train.levels}\nsame type and draw"),
        "encoder": (7.0, 1.45, 1.7, 1.3, COLORS[0], "image\nencoder\n(trained)"),
        "prompts": (6.75, -0.5, 2.2, 1.0, "#dddddd", "antonym prompts,\ntext encoder\n(frozen)"),
        "similar": (9.3, 1.55, 1.9, 1.1, COLORS[2], "cosine\nsimilarities\n$s_{pos}$, $s_{neg}$"),
        "consistency": (11.9, 2.75, 3.3, 0.8, COLORS[3], "$L_{cons}$: crops of a level agree"),
        "positive": (11.9, 1.7, 3.3, 0.8, COLORS[3], "$L_{pos}$: $s_{pos}$ falls with the level"),
        "negative": (11.9, 0.65, 3.3, 0.8, COLORS[3], "$L_{neg}$: $s_{neg}$ rises with the level"),
    }
    arrows = [("photo", "one"), ("photo", "two"), ("one", "ladder one"), ("two", "ladder two")]
    arrows += [("ladder one", "encoder"), ("ladder two", "encoder"), ("encoder", "similar")]
    arrows += [("similar", name) for name in ("consistency", "positive", "negative")]
    fig, ax = plt.subplots(figsize=(7.1, 2.2), layout="constrained")
    for left, bottom, width, height, color, text in boxes.values():
        light = to_rgba(color, 0.28)
        box: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.12", "facecolor": light, "edgecolor": color}
        ax.add_patch(FancyBboxPatch((left, bottom), width, height, **box))
        ax.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=6)
    style: dict[str, Any] = {
        "arrowstyle": "-|>",
        "mutation_scale": 7,
        "linewidth": 0.8,
        "color": "#444444",
        "shrinkA": 0,
        "shrinkB": 0,
    }
    for a, b in arrows:
        start = (boxes[a][0] + boxes[a][2], boxes[a][1] + boxes[a][3] / 2)
        ax.add_patch(FancyArrowPatch(start, (boxes[b][0], boxes[b][1] + boxes[b][3] / 2), **style))
    ax.add_patch(FancyArrowPatch((8.95, 0.0), (10.25, 1.55), connectionstyle="arc3,rad=0.3", **style))
    ax.set(xlim=(-0.1, 15.3), ylim=(-0.6, 3.7), aspect="equal")
    ax.set_axis_off()
    settings = ("crop", "levels", "crop_pairs", "types_per_pair", "margin_consistency", "margin_ranking")
    rows = [(k, getattr(train, k)) for k in settings]
    return Drawing(fig, pd.DataFrame(rows, columns=["setting", "value"]))
