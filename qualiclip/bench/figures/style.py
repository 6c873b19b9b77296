"""What all figures share: sizes, fonts, colours, helpers for axes, and what a drawing consists of."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from qualiclip.bench.captions import type_title
from qualiclip.bench.paths import Paths

TEXT, COLUMN = 7.0, 3.35  # inches: the width of a page's text, and of one of its two columns
HEIGHT = 8.4  # inches that a figure with its caption may take of a page
PIXELS = 256  # of the longer side of an image in a sheet
POINTS = 8  # of all words, at the printed size
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe and Ito
MARKERS = ["o", "s", "^", "v", "D", "P", "X"]

plt.rcParams.update(
    {
        "font.family": "STIXGeneral",
        "mathtext.fontset": "stix",
        "pdf.fonttype": 42,  # TrueType: submission systems refuse Type 3
        "axes.spines.top": False,
        "axes.spines.right": False,
        "savefig.dpi": 200,
        "legend.frameon": False,
        "legend.handlelength": 1.5,
        "legend.columnspacing": 1.2,
        "legend.handletextpad": 0.4,
        **dict.fromkeys(("font.size", "legend.fontsize", "xtick.labelsize", "ytick.labelsize"), POINTS),
        **dict.fromkeys(("axes.labelsize", "axes.titlesize", "figure.titlesize", "figure.labelsize"), POINTS),
    }
)


@dataclass
class Drawing:
    """`paint` draws the figure at a width in inches; `data` are the numbers that it shows.

    notes: what must be said below it, besides the banner of the scale.
    """

    paint: Callable[[float], Figure]
    data: pd.DataFrame
    notes: list[str] = field(default_factory=list)


def bare(ax: Axes) -> None:
    """Remove ticks, spines and background."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.patch.set_visible(False)


def wrapped(text: str, inches: float) -> str:
    """Text in lines that fit a width; a character is about half as wide as high."""
    return textwrap.fill(text, max(8, int(inches * 72 / (0.5 * POINTS))), break_long_words=False)


def read_degradations(paths: Paths, photos: str) -> pd.DataFrame:
    """The measured change of the photos: one row per type and level."""
    return pd.read_csv(paths.degradations(photos).with_suffix(".csv"), keep_default_na=False)


def _smaller(image: np.ndarray) -> np.ndarray:
    """An image of at most PIXELS: more are not seen in print."""
    small = Image.fromarray(image)
    small.thumbnail((PIXELS, PIXELS), Image.Resampling.LANCZOS)
    return np.asarray(small)


def degradation_grid(paths: Paths, photos: str, types: list[str], measured: pd.DataFrame, width: float) -> Figure:
    """The photo on top; one row per type at its levels: all five, or three of them in a narrow figure."""
    with np.load(paths.degradations(photos)) as images:
        degraded = {k: _smaller(images[k]) for k in images.files}
    levels = [1, 2, 3, 4, 5] if width == TEXT else [1, 3, 5]
    # rows of one height, the first for the photo; a column for the names of the types
    names = 1.15 if width == TEXT else 0.85
    cell = (width - names) / len(levels)
    side = min(cell - 0.08, HEIGHT / (len(types) + 1) - 0.36)
    size = (width, (len(types) + 1) * (side + 0.36))
    ratios = {"width_ratios": [names, *[cell] * len(levels)]}
    fig, axes = plt.subplots(len(types) + 1, 1 + len(levels), figsize=size, squeeze=False, gridspec_kw=ratios)
    fig.subplots_adjust(left=0.005, right=0.995, bottom=0.005, top=1 - 0.3 / size[1], wspace=0.06, hspace=0.36 / side)
    for ax in axes.flat:
        bare(ax)
    # the photo, the key of the numbers, and the levels
    axes[0, 0].imshow(degraded["original"])
    axes[0, 0].set_title("untouched")
    n = measured["photos"].iloc[0]
    key = f"Above each image: parameter; mean absolute change of a pixel and PSNR, means over n = {n} photos."
    room = width - names - 0.2
    axes[0, 1].text(0, 0.6, wrapped(key, min(room, 3.5)), va="center", transform=axes[0, 1].transAxes)
    for level, ax in zip(levels, axes[0, 1:], strict=True):
        ax.text(0.5, 0, f"level {level}", ha="center", va="bottom", transform=ax.transAxes)
    for row, name in zip(axes[1:], types, strict=True):
        rows = measured[measured["type"] == name].set_index("level")
        label = f"{wrapped(type_title(name), names)}:\n{wrapped(rows['parameter'].iloc[0].replace(' -', ' −'), names)}"
        row[0].text(0, 0.5, label, va="center", transform=row[0].transAxes)
        for level, ax in zip(levels, row[1:], strict=True):
            x = rows.loc[level]
            ax.imshow(degraded[f"{name}_{level}"])
            ax.set_title(f"{x['value']:g}\n{255 * x['mae']:.1f}/255, {x['psnr']:.0f} dB", pad=2, linespacing=1.1)
    return fig
