"""Figures from score files: PNG and PDF, and the plotted numbers as CSV.

`python -m qualiclip.bench.figures workflow/figures/score_vs_intensity.yaml --config ... --out .../x.png`
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from qualiclip.bench import gmad, provenance
from qualiclip.bench.cards import CardError, FigureCard, read_card
from qualiclip.bench.files import atomic, write_text
from qualiclip.bench.workspace import Workspace

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe and Ito
MARKERS = ["o", "s", "^", "v", "D", "P", "X"]
plt.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 200})


def score_vs_intensity(card: FigureCard, space: Workspace) -> tuple[Figure, pd.DataFrame]:
    """Mean score against intensity per degradation group, a panel per method (Fig. 1 of the paper)."""
    methods = [space.all_methods[m] for m in card.methods]
    fig, axes = plt.subplots(1, len(methods), figsize=(3.4 * len(methods), 2.9), squeeze=False, layout="constrained")
    parts = []
    for ax, m in zip(axes[0], methods, strict=True):
        table = pd.read_csv(space.intensity(m))
        means = table.groupby(["group", "intensity"], sort=False)["score"].agg(["mean", "sem"]).reset_index()
        parts.append(means.assign(method=m.name))
        for i, (group, rows) in enumerate(means.groupby("group", sort=False)):
            style = {"color": COLORS[i], "marker": MARKERS[i], "markersize": 3.5, "linewidth": 1.2}
            ax.plot(rows["intensity"], rows["mean"], label=group.replace("_", " and "), **style)
        ax.set(title=m.title, xlabel="intensity (1: level 5)", xlim=(0, 1))
    axes[0, 0].set_ylabel("mean score")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=7)
    return fig, pd.concat(parts, ignore_index=True)


def gmad_pairs(card: FigureCard, space: Workspace) -> tuple[Figure, pd.DataFrame]:
    """The image pairs of both roles, with both scores, and labels where known."""
    dataset = space.all_datasets[space.config.gmad]
    methods = {m.name: m for m in (space.all_methods[name] for name in card.methods)}
    files = {name: pd.read_csv(space.scores(m, dataset)) for name, m in methods.items()}
    scored = np.logical_and.reduce([np.isfinite(f["score"]) for f in files.values()])
    images = next(iter(files.values()))["image"][scored].to_numpy()
    shown = {name: f["score"][scored].to_numpy(float) for name, f in files.items()}
    oriented = {name: s if methods[name].higher_better else -s for name, s in shown.items()}
    index = pd.read_csv(space.index(dataset)).set_index("image")
    found = gmad.competition(oriented, space.config.gmad_levels)
    for side in ("better", "worse"):
        rows = found[side].to_numpy()
        found[f"{side}_image"] = images[rows]
        for name, s in shown.items():
            found[f"{side}_{name}"] = s[rows]
        if "mos" in index:
            found[f"{side}_label"] = index["mos"].loc[images[rows]].to_numpy()
    root = space.config.data / dataset.name
    fig = plt.figure(figsize=(5.2, 2.4 * len(found)), layout="constrained")
    for panel, (_, row) in zip(np.atleast_1d(fig.subfigures(len(found), 1)), found.iterrows(), strict=True):
        level = f"level {row['level'] + 1} of {space.config.gmad_levels}"
        panel.suptitle(
            f"defender {methods[row['defender']].title}, {level} (low to high)\n"
            f"attacker {methods[row['attacker']].title}, gap {row['gap']:.1f} s.d.",
            fontsize=7.5,
        )
        for ax, side in zip(panel.subplots(1, 2), ("better", "worse"), strict=True):
            with Image.open(root / row[f"{side}_image"]) as image:
                ax.imshow(image.convert("RGB"))
            said = [f"{m.title}: {row[f'{side}_{n}']:.4g}" for n, m in methods.items()]
            if "mos" in index:
                said.append(f"label: {row[f'{side}_label']:.4g}")
            ax.set_title(f"attacker: {side}", fontsize=7)
            ax.set_xlabel("\n".join([row[f"{side}_image"], *said]), fontsize=6)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    return fig, found


KINDS = {"score_vs_intensity": score_vs_intensity, "gmad": gmad_pairs}


def write(fig: Figure, data: pd.DataFrame, out: Path, note: str | None) -> None:
    """<out>.png, .pdf and .csv; `note` (the scale's banner) is printed on the figure."""
    if note:
        fig.text(0.5, 0, textwrap.fill(note, 100), fontsize=5.5, color="#555555", ha="center", va="top")
    write_text(out.with_suffix(".csv"), data.to_csv(index=False))
    # no creation date, so that the same data gives the same file
    for suffix, metadata in ((".pdf", {"CreationDate": None}), (".png", {"Software": None})):
        with atomic(out.with_suffix(suffix)) as temporary:
            fig.savefig(temporary, metadata=metadata, bbox_inches="tight")
    plt.close(fig)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw one figure from score files.")
    parser.add_argument("card", type=Path, help="workflow/figures/<id>.yaml")
    Workspace.add_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="figures/<id>.png; .pdf and .csv beside it")
    args = parser.parse_args()
    try:
        card, space = read_card(FigureCard, args.card), Workspace.from_arguments(args)
        fig, data = KINDS[card.kind](card, space)
    except CardError as e:
        sys.exit(f"error: {e}")
    write(fig, data, args.out, space.config.banner)
    provenance.record(args.out, figure=card.name, scale=space.config.scale)


if __name__ == "__main__":
    main()
