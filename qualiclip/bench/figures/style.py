"""What all figures share: colours, fonts, helpers for axes, and what a drawing consists of."""

from __future__ import annotations

from dataclasses import dataclass, field

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qualiclip.bench.paths import Paths

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe and Ito
MARKERS = ["o", "s", "^", "v", "D", "P", "X"]

plt.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200})


@dataclass
class Drawing:
    """A figure, the numbers that it shows, and what must be said below it besides the banner of the scale."""

    figure: Figure
    data: pd.DataFrame
    notes: list[str] = field(default_factory=list)


def bare(ax: Axes) -> None:
    """Remove ticks and spines."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def read_degradations(paths: Paths, photos: str) -> pd.DataFrame:
    """The measured change of the photos: one row per type and level."""
    return pd.read_csv(paths.degradations(photos).with_suffix(".csv"), keep_default_na=False)


def degradation_grid(paths: Paths, photos: str, types: list[str], measured: pd.DataFrame) -> Figure:
    """One row per type: the photo and its five levels, with parameter, mean absolute change and PSNR."""
    with np.load(paths.degradations(photos)) as images:
        original = images["original"]
        degraded = {k: images[k] for k in images.files}
    fig, axes = plt.subplots(len(types), 6, figsize=(7.1, 1.38 * len(types)), squeeze=False, layout="constrained")
    for row, name in zip(axes, types, strict=True):
        levels = measured[measured["type"] == name].set_index("level")
        for level, ax in enumerate(row):
            ax.imshow(original if level == 0 else degraded[f"{name}_{level}"])
            bare(ax)
            if level:
                x = levels.loc[level]
                ax.set_title(f"{x['value']:g}   {255 * x['mae']:.1f}   {x['psnr']:.0f} dB", fontsize=6.5, pad=2)
        row[0].set_ylabel(f"{name.replace('_', ' ')}\n{levels['parameter'].iloc[0]}".replace(", ", ",\n"), fontsize=6.5)
    # the first row also names the levels
    for level, ax in enumerate(axes[0]):
        title = ax.get_title()
        ax.set_title(f"level {level}\n{title}" if level else "original", fontsize=6.5, pad=2)
    return fig
