"""gMAD pairs of two rivals in both roles, with their images, scores and labels."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from qualiclip.bench.captions import labels_note
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.figures.style import Drawing, bare
from qualiclip.bench.metrics.gmad import compete
from qualiclip.bench.workspace import Workspace


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The image pairs; the CSV has one row per role and level. Raises NotRun when a method has no scores."""
    dataset, methods = workspace.gmad_set, workspace.figure_methods(card)
    pairs = compete(workspace.paths, methods, dataset, workspace.config.gmad_levels)
    root = workspace.config.data / dataset.name
    return Drawing(
        draw_pairs(pairs, methods, dataset, root, workspace.config.gmad_levels), pairs, labels_note([dataset])
    )


def draw_pairs(
    pairs: pd.DataFrame, methods: list[MethodCard], dataset: DatasetCard, root: Path, n_levels: int
) -> Figure:
    """One row of the sheet per row of `compete`; images from `root`."""
    titles = {m.name: m.title for m in methods}
    fig = plt.figure(figsize=(4.2, 2.5 * len(pairs)), layout="constrained")
    for panel, (_, row) in zip(np.atleast_1d(fig.subfigures(len(pairs), 1)), pairs.iterrows(), strict=True):
        level = ["low", "high"][row["level"]] if n_levels == 2 else f"level {row['level'] + 1} of {n_levels}"
        panel.suptitle(
            f"held constant by the defender {titles[row['defender']]} ({level})\n"
            f"told apart by the attacker {titles[row['attacker']]}: {row['gap']:.1f} s.d.",
            fontsize=7.5,
        )
        for ax, side in zip(panel.subplots(1, 2), ("better", "worse"), strict=True):
            _draw_image(ax, root / row[f"{side}_image"])
            ax.set_title(f"{side}, says the attacker", fontsize=7)
            ax.set_xlabel("\n".join([row[f"{side}_image"], *_scores(row, side, methods, dataset)]), fontsize=6)
    return fig


def _draw_image(ax: Axes, file: Path) -> None:
    """The image, or a sentence in its place."""
    if file.is_file():
        with Image.open(file) as image:
            image = image.convert("RGB")
            image.thumbnail((900, 900))
            ax.imshow(image)
    else:
        ax.text(0.5, 0.5, "image not at hand", ha="center", va="center", fontsize=7)
    bare(ax)


def _scores(row: pd.Series, side: str, methods: list[MethodCard], dataset: DatasetCard) -> list[str]:
    """Scores and label of one image, one per line."""
    lines = [f"{m.title}: {row[f'{side}_{m.name}']:.4g}" for m in methods]
    if f"{side}_label" in row:
        direction = "higher" if dataset.labels.higher_better else "lower"
        name = "MOS" if dataset.human else f"label ({direction} is better)"
        lines.append(f"{name}: {row[f'{side}_label']:.4g}")
    return lines
