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

from qualiclip.bench import correlate, gmad, provenance, sheets
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard, FigureCard, MethodCard
from qualiclip.bench.files import atomic, command, write_text
from qualiclip.bench.sheets import COLORS, MARKERS
from qualiclip.bench.table import labels_note
from qualiclip.bench.tabular import read_index, read_scores
from qualiclip.bench.workspace import Workspace

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
    fig.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=7)
    return fig, pd.concat(parts, ignore_index=True)


def compete(space: Workspace, methods: list[MethodCard], dataset: DatasetCard) -> pd.DataFrame:
    """The pairs of all roles: rows of `gmad.competition` with names, scores as the methods give them, labels.

    Raises CardError when a method has no scores there.
    """
    images = read_index(space.index(dataset))
    files = {m.name: read_scores(space.scores(m, dataset), images) for m in methods}
    for m in methods:
        if files[m.name]["score"].isna().all():
            raise CardError(f"{m.title} on {dataset.title}: {files[m.name]['error'].iloc[0]}")
    scored = np.logical_and.reduce([np.isfinite(f["score"]) for f in files.values()])
    index = images[scored].reset_index(drop=True)
    oriented = {m.name: correlate.orient(files[m.name]["score"][scored], m) for m in methods}
    found = gmad.competition(oriented, space.config.gmad_levels)
    for side in ("better", "worse"):
        rows = found[side].to_numpy()
        found[f"{side}_image"] = index["image"].to_numpy()[rows]
        for m in methods:
            found[f"{side}_{m.name}"] = files[m.name]["score"][scored].to_numpy(float)[rows]
        if "mos" in index:
            found[f"{side}_label"] = index["mos"].to_numpy()[rows]
    return found


def gmad_pairs(card: FigureCard, space: Workspace) -> tuple[Figure, pd.DataFrame]:
    """The image pairs of both roles, with both scores, and labels where known; a row a role and level."""
    dataset = space.all_datasets[space.config.gmad]
    methods = {name: space.all_methods[name] for name in card.methods}
    try:
        found = compete(space, list(methods.values()), dataset)
    except CardError as e:
        fig = plt.figure(figsize=(5.2, 1))
        fig.text(0.5, 0.5, textwrap.fill(f"Not drawn. {e}", 80), ha="center", va="center")
        return fig, pd.DataFrame({"not_run": [str(e)]})
    return draw_pairs(found, methods, dataset, space.config.data / dataset.name, space.config.gmad_levels), found


def draw_pairs(
    found: pd.DataFrame, methods: dict[str, MethodCard], dataset: DatasetCard, root: Path, n_levels: int
) -> Figure:
    """The sheet of the rows of `compete`, images from `root`; an image that is not there is said to be missing."""
    fig = plt.figure(figsize=(4.2, 2.5 * len(found)), layout="constrained")
    for panel, (_, row) in zip(np.atleast_1d(fig.subfigures(len(found), 1)), found.iterrows(), strict=True):
        height = ["low", "high"][row["level"]] if n_levels == 2 else f"level {row['level'] + 1} of {n_levels}"
        panel.suptitle(
            f"held constant by the defender {methods[row['defender']].title} ({height})\n"
            f"told apart by the attacker {methods[row['attacker']].title}: {row['gap']:.1f} s.d.",
            fontsize=7.5,
        )
        for ax, side in zip(panel.subplots(1, 2), ("better", "worse"), strict=True):
            file = root / row[f"{side}_image"]
            if file.is_file():
                with Image.open(file) as image:
                    image = image.convert("RGB")
                    image.thumbnail((900, 900))
                    ax.imshow(image)
            else:
                ax.text(0.5, 0.5, "image not at hand", ha="center", va="center", fontsize=7)
            said = [f"{m.title}: {row[f'{side}_{n}']:.4g}" for n, m in methods.items()]
            if f"{side}_label" in row:
                name = (
                    "MOS"
                    if dataset.human
                    else f"label ({'higher' if dataset.labels.higher_better else 'lower'} is better)"
                )
                said.append(f"{name}: {row[f'{side}_label']:.4g}")
            ax.set_title(f"{side}, says the attacker", fontsize=7)
            ax.set_xlabel("\n".join([row[f"{side}_image"], *said]), fontsize=6)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    return fig


KINDS = {
    "score_vs_intensity": score_vs_intensity,
    "gmad": gmad_pairs,
    "overview": sheets.overview,
    "degradation_levels": sheets.degradation_levels,
    "degradation_sheet": sheets.degradation_sheet,
    "gradcam": sheets.gradcam,
    "embeddings": sheets.embeddings,
    "training": sheets.training,
}


def footnote(card: FigureCard, space: Workspace) -> str:
    """What every figure says of its scale and of its labels."""
    labels = labels_note([space.all_datasets[space.config.gmad]]) if card.kind == "gmad" else []
    return " ".join([*([space.config.banner] if space.config.banner else []), *labels])


def write(fig: Figure, data: pd.DataFrame, out: Path, note: str) -> None:
    """<out>.png, .pdf and .csv; `note` is printed on the figure."""
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
    write(fig, data, args.out, footnote(card, space))
    provenance.record(args.out, figure=card.name, scale=space.config.scale)


if __name__ == "__main__":
    command(main)
