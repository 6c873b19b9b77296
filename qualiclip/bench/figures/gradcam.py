"""Grad-CAM of the score on photos whose right half is degraded, one row per method."""

from __future__ import annotations

from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qualiclip.bench.captions import type_title
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.figures.style import Drawing, bare, wrapped
from qualiclip.bench.workspace import Workspace

ALPHA, GREY = 0.6, "0.5"  # of a map over a grey photo; of what the colour bar lies on


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """Photos above, the maps of each method below; the CSV holds the mean of either half of a map."""
    methods = workspace.figure_methods(card)
    views = [dict(np.load(workspace.paths.explain(m.name))) for m in methods]
    rows = []
    for k, name in enumerate(views[0]["types"]):
        for m, view in zip(methods, views, strict=True):
            half = view["cams"][k].shape[-1] // 2
            left, right = float(view["cams"][k][:, :half].mean()), float(view["cams"][k][:, half:].mean())
            rows.append((m.name, name, float(view["scores"][k]), left, right))
    columns = ["method", "type", "score", "mean_cam_left", "mean_cam_right"]
    notes = ["The right half of each photo, beyond the dashed line, is degraded. Above each map: the score."]
    return Drawing(partial(_paint, methods, views), pd.DataFrame(rows, columns=columns), notes)


def _map(ax: Axes, image: np.ndarray, cam: np.ndarray) -> Any:
    """A map over a grey photo; a sentence where the map is empty."""
    side = image.shape[0]
    ax.imshow(image.mean(-1), cmap="gray", vmin=0, vmax=255)
    extent = (-0.5, side - 0.5, side - 0.5, -0.5)
    heat = ax.imshow(cam, cmap="inferno", alpha=ALPHA, extent=extent, interpolation="bilinear", vmin=0, vmax=1)
    if cam.max() == 0:
        ax.text(0.5, 0.5, "no region\nraises it", color="white", ha="center", va="center", transform=ax.transAxes)
    return heat


def _paint(methods: list[MethodCard], views: list[dict[str, np.ndarray]], width: float) -> Figure:
    images, types = views[0]["images"], views[0]["types"]
    each = width / (len(images) + 0.3)
    size = (width, (each + 0.12) * (1 + len(methods)) + 0.65)
    fig, axes = plt.subplots(1 + len(methods), len(images), figsize=size, squeeze=False, layout="constrained")
    for k, (image, name) in enumerate(zip(images, types, strict=True)):
        axes[0, k].imshow(image)
        axes[0, k].set_title(wrapped(type_title(str(name)), each))
        for i, view in enumerate(views, start=1):
            heat = _map(axes[i, k], image, view["cams"][k])
            axes[i, k].set_title(f"{view['scores'][k]:.3f}")
        for ax in axes[:, k]:
            ax.axvline(image.shape[1] / 2 - 0.5, color="white", linewidth=0.8, linestyle="--")
            bare(ax)
    for i, title in enumerate(["photo", *(m.short or m.title for m in methods)]):
        axes[i, 0].set_ylabel(wrapped(title, each))
    bar = fig.colorbar(
        heat, ax=axes, location="bottom", shrink=0.6, aspect=40, label="Grad-CAM, 1 is the largest of a map"
    )
    bar.ax.set_facecolor(GREY)  # so that its colours are those over a grey photo
    return fig
