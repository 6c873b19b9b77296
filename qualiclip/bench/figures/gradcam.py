"""Grad-CAM of the score on photos whose right half is degraded, one row per method."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import Drawing, bare
from qualiclip.bench.workspace import Workspace


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """Photos above, the maps of each method below; the CSV holds the mean of either half of a map."""
    methods = workspace.figure_methods(card)
    views = [dict(np.load(workspace.paths.explain(m.name))) for m in methods]
    images, types = views[0]["images"], views[0]["types"]
    size = (7.1, 1.75 * (1 + len(methods)))
    fig, axes = plt.subplots(1 + len(methods), len(images), figsize=size, squeeze=False, layout="constrained")
    rows = []
    for k, (image, name) in enumerate(zip(images, types, strict=True)):
        axes[0, k].imshow(image)
        axes[0, k].set_title(f"right half: {name.replace('_', ' ')}", fontsize=7)
        for i, (m, view) in enumerate(zip(methods, views, strict=True), start=1):
            side = image.shape[0]
            axes[i, k].imshow(image.mean(-1), cmap="gray")
            extent = (-0.5, side - 0.5, side - 0.5, -0.5)
            heat = axes[i, k].imshow(
                view["cams"][k], cmap="inferno", alpha=0.6, extent=extent, interpolation="bilinear", vmin=0, vmax=1
            )
            nowhere = "" if view["cams"][k].max() > 0 else ", no region raises it"
            axes[i, k].set_title(f"score {view['scores'][k]:.3f}{nowhere}", fontsize=7)
            half = view["cams"][k].shape[-1] // 2
            left, right = float(view["cams"][k][:, :half].mean()), float(view["cams"][k][:, half:].mean())
            rows.append((m.name, name, float(view["scores"][k]), left, right))
    for i, title in enumerate(["photo", *(m.title for m in methods)]):
        axes[i, 0].set_ylabel(title, fontsize=7)
    for ax in axes.flat:
        bare(ax)
    fig.colorbar(heat, ax=axes[1:], shrink=0.6, label="Grad-CAM, 1 is the largest")
    columns = ["method", "type", "score", "mean_cam_left", "mean_cam_right"]
    return Drawing(fig, pd.DataFrame(rows, columns=columns))
