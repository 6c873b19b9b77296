"""A training step as boxes and arrows (Fig. 3 of the paper)."""

from __future__ import annotations

from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.kinds import main_variant
from qualiclip.bench.figures.style import COLORS, TEXT, Drawing
from qualiclip.bench.workspace import Workspace
from qualiclip.config import PROMPT_PAIRS, TrainConfig

SETTINGS = ("crop", "levels", "crop_pairs", "types_per_pair", "margin_consistency", "margin_ranking")
GREY = "#999999"
WIDE = {  # box -> left, bottom, width, height in inches; the steps from left to right
    "photo": (0.0, 0.85, 0.76, 0.9),
    "one": (0.95, 1.45, 0.7, 0.5),
    "two": (0.95, 0.65, 0.7, 0.5),
    "ladder one": (1.85, 1.45, 1.15, 0.5),
    "ladder two": (1.85, 0.65, 1.15, 0.5),
    "encoder": (3.2, 0.95, 0.75, 0.7),
    "prompts": (2.5, 0.0, 1.75, 0.5),
    "similar": (4.15, 0.95, 0.85, 0.7),
    "consistency": (5.2, 1.6, 1.75, 0.4),
    "positive": (5.2, 1.1, 1.75, 0.4),
    "negative": (5.2, 0.6, 1.75, 0.4),
}
TALL = {  # from top to bottom
    "photo": (1.25, 3.85, 0.8, 0.85),
    "one": (0.35, 3.15, 0.7, 0.5),
    "two": (2.25, 3.15, 0.7, 0.5),
    "ladder one": (0.12, 2.4, 1.16, 0.5),
    "ladder two": (2.02, 2.4, 1.16, 0.5),
    "encoder": (1.25, 1.55, 0.8, 0.6),
    "prompts": (0.0, 1.45, 1.1, 0.6),
    "similar": (1.2, 0.7, 0.9, 0.6),
    "consistency": (0.0, 0.0, 1.05, 0.45),
    "positive": (1.13, 0.0, 1.05, 0.45),
    "negative": (2.26, 0.0, 1.05, 0.45),
}
ARROWS = [("photo", "one"), ("photo", "two"), ("one", "ladder one"), ("two", "ladder two")]
ARROWS += [("ladder one", "encoder"), ("ladder two", "encoder"), ("encoder", "similar"), ("prompts", "similar")]
ARROWS += [("similar", name) for name in ("consistency", "positive", "negative")]


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The settings are those of the first variant of the scale."""
    train = main_variant(workspace)
    rows = [(k, getattr(train, k)) for k in SETTINGS]
    return Drawing(partial(_paint, train), pd.DataFrame(rows, columns=["setting", "value"]))


def _words(train: TrainConfig, line: str) -> dict[str, tuple[str, str]]:
    """Box -> colour and text. line: what parts the two halves of a loss."""
    good, bad = (train.prompt_pairs or PROMPT_PAIRS)[0]
    levels = f"{train.levels} levels, {train.first_level:g} to 5"
    return {
        "photo": (GREY, "pristine photo"),
        "one": (COLORS[5], f"crop $x_1$\n{train.crop} px"),
        "two": (COLORS[5], f"crop $x_2$\n{train.crop} px"),
        "ladder one": (COLORS[4], f"{levels},\nmild to severe"),
        "ladder two": (COLORS[4], f"{levels},\nthe same draw"),
        "encoder": (COLORS[0], "image\nencoder\n(trained)"),
        "prompts": (GREY, f"frozen text encoder:\n“{good}”{line}“{bad}” ..."),
        "similar": (COLORS[2], "cosine\nsimilarities\n$s_\\mathrm{pos}$, $s_\\mathrm{neg}$"),
        "consistency": (COLORS[3], f"$L_\\mathrm{{cons}}$: both crops{line}of a level agree"),
        "positive": (COLORS[3], f"$L_\\mathrm{{pos}}$: $s_\\mathrm{{pos}}$ falls{line}with the level"),
        "negative": (COLORS[3], f"$L_\\mathrm{{neg}}$: $s_\\mathrm{{neg}}$ rises{line}with the level"),
    }


def _ends(a: tuple[float, ...], b: tuple[float, ...], across: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the arrow between two boxes begins and ends: at their sides, or at their lower and upper edges."""
    if across:
        return (a[0] + a[2], a[1] + a[3] / 2), (b[0], b[1] + b[3] / 2)
    return (a[0] + a[2] / 2, a[1]), (b[0] + b[2] / 2, b[1] + b[3])


def _paint(train: TrainConfig, width: float) -> Figure:
    boxes = WIDE if width == TEXT else TALL
    right, top = max(b[0] + b[2] for b in boxes.values()), max(b[1] + b[3] for b in boxes.values())
    fig, ax = plt.subplots(figsize=(width, (top + 0.06) * width / (right + 0.06)))
    fig.subplots_adjust(left=0, right=1, bottom=0, top=1)
    # boxes and their words
    for name, (color, text) in _words(train, " " if width == TEXT else "\n").items():
        left, bottom, w, h = boxes[name]
        box: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "facecolor": to_rgba(color, 0.28)}
        ax.add_patch(FancyBboxPatch((left, bottom), w, h, edgecolor=color, **box))
        middle = bottom + (h - 0.12 if name == "photo" else h / 2)
        ax.text(left + w / 2, middle, text, ha="center", va="center", linespacing=1.1)
    # the two crops of the photo, as they overlap
    left, bottom, w, h = boxes["photo"]
    for dx, dy in ((0.1, 0.24), (0.3, 0.08)) if train.crop_layout == "overlapping" else ():
        ax.add_patch(Rectangle((left + dx * w, bottom + dy * h), 0.6 * w, 0.48 * h, fill=False, edgecolor=COLORS[5]))
    # arrows
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "linewidth": 0.8, "color": "#444444"}
    for a, b in ARROWS:
        start, end = _ends(boxes[a], boxes[b], across=width == TEXT)
        bend = "arc3,rad=0.25" if a == "prompts" else "arc3"
        ax.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, connectionstyle=bend, **style))
    ax.set(xlim=(-0.03, right + 0.03), ylim=(-0.03, top + 0.03))
    ax.set_axis_off()
    return fig
