"""gMAD pairs of two rivals in both roles, with their images, scores and labels."""

from __future__ import annotations

from functools import partial
from math import ceil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qualiclip.bench.captions import label_name, labels_note
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.figures.style import HEIGHT, TEXT, Drawing, bare
from qualiclip.bench.metrics.gmad import compete
from qualiclip.bench.workspace import Workspace
from qualiclip.images import UnreadableImage, open_rgb


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The image pairs; the CSV has one row per role and level, and the names of the images.

    Raises NotRun when a method has no scores.
    """
    dataset, methods = workspace.gmad_set, workspace.figure_methods(card)
    pairs = compete(workspace.paths, methods, dataset, workspace.config.gmad_levels)
    notes = [*labels_note([dataset]), f"Images of {dataset.title}."]
    if dataset.labels:
        direction = "higher" if dataset.labels.higher_better else "lower"
        notes.append(f"{label_name(dataset)[0].upper()}{label_name(dataset)[1:]}: {direction} is better.")
    root = workspace.config.data / dataset.name
    return Drawing(partial(_paint, pairs, methods, dataset, root, workspace.config.gmad_levels), pairs, notes)


def _paint(
    pairs: pd.DataFrame, methods: list[MethodCard], dataset: DatasetCard, root: Path, n_levels: int, width: float
) -> Figure:
    """One panel per row of `compete`, two in a row of the page; images from `root`."""
    titles = {m.name: m.short or m.title for m in methods}
    across = 2 if width == TEXT else 1
    down = ceil(len(pairs) / across)
    size = (width, min(HEIGHT, (2.6 if width == TEXT else 2.05) * down))
    fig = plt.figure(figsize=size, layout="constrained")
    panels = np.atleast_1d(fig.subfigures(down, across, hspace=0.02)).flat
    for panel, (_, row) in zip(panels, pairs.iterrows(), strict=False):
        level = ["low", "high"][row["level"]] if n_levels == 2 else f"level {row['level'] + 1} of {n_levels}"
        panel.suptitle(
            f"defender {titles[row['defender']]}, {level}\n"
            f"attacker {titles[row['attacker']]}, {row['gap']:.1f} s.d. apart"
        )
        for ax, side in zip(panel.subplots(1, 2), ("better", "worse"), strict=True):
            _draw_image(ax, root / row[f"{side}_image"])
            ax.set_title(f"{side} by the attacker")
            ax.set_xlabel("\n".join(_scores(row, side, methods, dataset)))
    return fig


def _draw_image(ax: Axes, file: Path) -> None:
    """The image, or a sentence in its place."""
    try:
        image = open_rgb(file)
        image.thumbnail((900, 900))
        ax.imshow(image)
    except UnreadableImage:
        ax.text(0.5, 0.5, "image not at hand", ha="center", va="center")
    bare(ax)


def _scores(row: pd.Series, side: str, methods: list[MethodCard], dataset: DatasetCard) -> list[str]:
    """Scores and label of one image, one per line."""
    lines = [f"{m.short or m.title} {row[f'{side}_{m.name}']:.3g}" for m in methods]
    if f"{side}_label" in row:
        lines.append(f"{'MOS' if dataset.human else 'label'} {row[f'{side}_label']:.3g}")
    return lines
