"""Figures of degraded photos, of attention and of features, drawn from files that torch jobs wrote."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from sklearn.manifold import TSNE

from qualiclip.bench.card import CardError
from qualiclip.bench.cards import FigureCard
from qualiclip.bench.workspace import Workspace

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe and Ito
TERMS = {"consistency": "$L_{cons}$", "positive": "$L_{pos}$", "negative": "$L_{neg}$"}
MARKERS = ["o", "s", "^", "v", "D", "P", "X"]


def _bare(ax) -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _grid(space: Workspace, kinds: list[str], measured: pd.DataFrame) -> Figure:
    """A row a type, the photo and its five levels by columns."""
    with np.load(space.degraded) as images:
        original = images["original"]
        shown = {k: images[k] for k in images.files}
    fig, axes = plt.subplots(len(kinds), 6, figsize=(7.1, 1.38 * len(kinds)), squeeze=False, layout="constrained")
    for row, kind in zip(axes, kinds, strict=True):
        levels = measured[measured["type"] == kind].set_index("level")
        for level, ax in enumerate(row):
            ax.imshow(original if level == 0 else shown[f"{kind}_{level}"])
            _bare(ax)
            if level:
                x = levels.loc[level]
                ax.set_title(f"{x['value']:g}   {255 * x['mae']:.1f}   {x['psnr']:.0f} dB", fontsize=6.5, pad=2)
        row[0].set_ylabel(f"{kind.replace('_', ' ')}\n{levels['parameter'].iloc[0]}".replace(", ", ",\n"), fontsize=6.5)
    for level, ax in enumerate(axes[0]):
        said = ax.get_title()
        ax.set_title(f"level {level}\n{said}" if level else "original", fontsize=6.5, pad=2)
    return fig


def degradation_sheet(card: FigureCard, space: Workspace) -> tuple[Figure, pd.DataFrame]:
    """Every type of one group at its five levels, with parameter, mean absolute change and PSNR."""
    measured = pd.read_csv(space.degraded.with_suffix(".csv"), keep_default_na=False)
    rows = measured[measured["group"] == card.group]
    if rows.empty:
        raise CardError(f"{card.path}: group: none of {', '.join(measured['group'].unique())}")
    return _grid(space, list(rows["type"].unique()), measured), rows


def degradation_levels(card: FigureCard, space: Workspace) -> tuple[Figure, pd.DataFrame]:
    """The first type of each group at its five levels."""
    measured = pd.read_csv(space.degraded.with_suffix(".csv"), keep_default_na=False)
    kinds = list(measured.drop_duplicates("group")["type"])
    return _grid(space, kinds, measured), measured[measured["type"].isin(kinds)]


def gradcam(card: FigureCard, space: Workspace) -> tuple[Figure, pd.DataFrame]:
    """Photos with a degraded right half, and the map of each method beside."""
    methods = [space.all_methods[m] for m in card.methods]
    views = [dict(np.load(space.views(m))) for m in methods]
    images, kinds = views[0]["images"], views[0]["kinds"]
    size = (7.1, 1.75 * (1 + len(methods)))
    fig, axes = plt.subplots(1 + len(methods), len(images), figsize=size, squeeze=False, layout="constrained")
    rows = []
    for k, (image, kind) in enumerate(zip(images, kinds, strict=True)):
        axes[0, k].imshow(image)
        axes[0, k].set_title(f"right half: {kind.replace('_', ' ')}", fontsize=7)
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
            rows.append((m.name, kind, float(view["scores"][k]), left, right))
    for i, title in enumerate(["photo", *(m.title for m in methods)]):
        axes[i, 0].set_ylabel(title, fontsize=7)
    for ax in axes.flat:
        _bare(ax)
    fig.colorbar(heat, ax=axes[1:], shrink=0.6, label="Grad-CAM, 1 is the largest")
    return fig, pd.DataFrame(rows, columns=["method", "type", "score", "mean_cam_left", "mean_cam_right"])


def embeddings(card: FigureCard, space: Workspace) -> tuple[Figure, pd.DataFrame]:
    """t-SNE (van der Maaten and Hinton 2008; scikit-learn) of features, by degradation group and by level."""
    methods = [space.all_methods[m] for m in card.methods]
    fig, axes = plt.subplots(len(methods), 2, figsize=(7.1, 3.3 * len(methods)), squeeze=False, layout="constrained")
    parts = []
    for m, (by_group, by_level) in zip(methods, axes, strict=True):
        view = dict(np.load(space.views(m)))
        n = len(view["features"])
        at = TSNE(perplexity=min(30.0, (n - 1) / 3), init="pca", random_state=0).fit_transform(view["features"])
        points = pd.DataFrame({"method": m.name, "x": at[:, 0], "y": at[:, 1]})
        points = points.assign(type=view["type"], group=view["group"], level=view["level"])
        parts.append(points)
        untouched = points[points["level"] == 0]
        for i, (group, p) in enumerate(points[points["level"] > 0].groupby("group", sort=False)):
            style = {"color": COLORS[i], "marker": MARKERS[i], "s": 9, "linewidths": 0, "alpha": 0.8}
            by_group.scatter(p["x"], p["y"], label=group.replace("_", " and "), **style)
        by_group.scatter(
            untouched["x"], untouched["y"], marker="*", s=60, facecolor="white", edgecolor="black", label="untouched"
        )
        dots = by_level.scatter(points["x"], points["y"], c=points["level"], cmap="viridis_r", s=9, linewidths=0)
        fig.colorbar(dots, ax=by_level, label="level", ticks=range(6))
        by_group.set_title(f"{m.title}: by group", fontsize=8)
        by_level.set_title("by level", fontsize=8)
        for ax in (by_group, by_level):
            _bare(ax)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=7)
    return fig, pd.concat(parts, ignore_index=True)


def training(card: FigureCard, space: Workspace) -> tuple[Figure, pd.DataFrame]:
    """The three loss terms against the step, faint as they were and clear as a running mean, a panel a method.

    The CSV holds every step, with the rank consistency on held-out photos where it was measured.
    """
    methods = [space.all_methods[m] for m in card.methods]
    fig, axes = plt.subplots(1, len(methods), figsize=(3.6 * len(methods), 2.6), squeeze=False, layout="constrained")
    parts = []
    for m, ax in zip(methods, axes[0], strict=True):
        record = json.loads(space.train_record(m, card).read_text())
        curve = pd.DataFrame(record["curve"])
        if curve.empty:
            raise CardError(f"{card.path}: methods: {m.name} was trained for no step and has no loss curve")
        parts.append(curve.assign(method=m.name))
        title = f"{m.title}: rank consistency {record['rank_consistency']:.3f}"
        ax.set(title=title, xlabel="step", ylabel="loss")
        for (term, name), color in zip(TERMS.items(), COLORS, strict=False):
            smooth = curve[term].rolling(max(1, len(curve) // 25), min_periods=1).mean()
            ax.plot(curve["step"], curve[term], color=color, alpha=0.15, linewidth=0.5)
            ax.plot(curve["step"], smooth, color=color, label=name)
        ax.set_ylim(bottom=0)
        ax.legend(frameon=False, fontsize=7)
    return fig, pd.concat(parts, ignore_index=True)


def overview(card: FigureCard, space: Workspace) -> tuple[Figure, pd.DataFrame]:
    """What a training step does, as boxes and arrows; the settings are those of the scale's training."""
    train = space.config.variant(next(iter(space.config.variants)))
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
        light = plt.matplotlib.colors.to_rgba(color, 0.28)
        style = {"boxstyle": "round,pad=0,rounding_size=0.12", "facecolor": light, "edgecolor": color}
        ax.add_patch(FancyBboxPatch((left, bottom), width, height, **style))
        ax.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=6)
    style = {"arrowstyle": "-|>", "mutation_scale": 7, "linewidth": 0.8, "color": "#444444", "shrinkA": 0, "shrinkB": 0}
    for a, b in arrows:
        start = (boxes[a][0] + boxes[a][2], boxes[a][1] + boxes[a][3] / 2)
        ax.add_patch(FancyArrowPatch(start, (boxes[b][0], boxes[b][1] + boxes[b][3] / 2), **style))
    ax.add_patch(FancyArrowPatch((8.95, 0.0), (10.25, 1.55), connectionstyle="arc3,rad=0.3", **style))
    ax.set(xlim=(-0.1, 15.3), ylim=(-0.6, 3.7), aspect="equal")
    ax.set_axis_off()
    settings = ("crop", "levels", "pairs", "degradations", "margin_consistency", "margin_ranking")
    rows = [(k, getattr(train, k)) for k in settings]
    return fig, pd.DataFrame(rows, columns=["setting", "value"])
