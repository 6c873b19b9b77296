"""The sections of the report that no table or figure file holds, as data with all images inside."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from qualiclip.bench.absence import NOT_HERE, NOT_RUN
from qualiclip.bench.captions import label_name, labels_note
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import WHOLE, has_labels, oriented, read_index, read_scores, sign
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.metrics import gmad
from qualiclip.bench.metrics.significance import rank_ranges
from qualiclip.bench.tables.results import Result
from qualiclip.bench.tables.standing import Standing
from qualiclip.bench.tables.table import Table, number_text
from qualiclip.bench.workspace import Workspace
from qualiclip.images import UnreadableImage, open_rgb

THUMB, LARGE, FIGURE = 112, 640, 1600  # px of the longer side
NO_RANK = ("", "")
MOST_DOTS = 150  # images of a set in the scatter plot


def _data_address(image: Image.Image, side: int, form: str) -> str:
    """An image as a data address, made smaller where it is larger than `side`."""
    buffer = io.BytesIO()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    image.save(buffer, form, quality=82)
    return f"data:image/{form.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()


def inline(path: Path) -> str:
    """A figure as a data address, in WebP: a tenth of the PNG's size."""
    return _data_address(open_rgb(path), FIGURE, "WEBP")


def jpeg(path: Path, side: int) -> str:
    """A smaller copy of a photo as a data address; empty where the photo is not here, or cannot be read."""
    try:
        return _data_address(open_rgb(path), side, "JPEG")
    except UnreadableImage:
        return ""


def leaderboard(
    table: pd.DataFrame, compared: list[Result], results: list[Result], ranked: Standing
) -> tuple[list[DatasetCard], list[dict[str, Any]]]:
    """Datasets by columns; one row per method: whole-set SRCC with limits on each set, mean and rank over those here.

    table: the tidy results of the run. compared: results of the methods that have a row. results: those whose sets
    have a column. ranked: of `compared`. A method has a mean and a rank if it competes on every set; the others follow
    below, controls last.
    """
    rows = table[(table["metric"] == "srcc") & (table["statistic"] == "whole")]
    rows = rows.drop_duplicates(["method", "dataset"]).set_index(["method", "dataset"])
    datasets = list({r.dataset.name: r.dataset for r in results}.values())
    here = list({r.dataset.name: r.dataset for r in results if not r.not_here}.values())
    by_pair = {(r.method.name, r.dataset.name): r for r in compared}
    board: list[dict[str, Any]] = []
    for name, m in {r.method.name: r.method for r in compared}.items():
        cells = {d.name: _cell(by_pair.get((name, d.name)), rows) for d in datasets}
        values = [cells[d.name]["value"] for d in here if (name, d.name) in by_pair and by_pair[name, d.name].competes]
        mean = float(np.mean(values)) if len(values) == len(here) > 0 else np.nan
        row = {"name": name, "title": m.title, "family": m.family, "cells": list(cells.values()), "mean": mean}
        board.append(row | {"text": number_text(mean), "rank": NO_RANK})
    # the ranks that the data allow
    places = rank_ranges(ranked.comparisons) if ranked.methods else []
    for m, ends in zip(ranked.methods, places, strict=True):
        next(row for row in board if row["name"] == m.name)["rank"] = ends
    return datasets, sorted(
        board, key=lambda r: (r["family"] == "control", -r["mean"] if np.isfinite(r["mean"]) else 2)
    )


def _cell(r: Result | None, rows: pd.DataFrame) -> dict[str, Any]:
    """Value, limits and marks of one cell of the leaderboard. rows: the tidy results by method and dataset."""
    if r is None:
        return {"value": np.nan, "text": number_text(np.nan), "low": "", "high": "", "refused": "", "leaked": False}
    if r.refused:
        text = NOT_HERE if r.not_here else NOT_RUN
        return {"value": np.nan, "text": text, "low": "", "high": "", "refused": r.refused, "leaked": r.leaked}
    row = rows.loc[r.method.name, r.dataset.name]
    limits = {end: number_text(row[end], 2) for end in ("low", "high")}
    return {"value": row["value"], "text": number_text(row["value"]), **limits, "refused": "", "leaked": r.leaked}


def scatter(workspace: Workspace, results: list[Result]) -> list[dict[str, Any]]:
    """Per dataset: images spread evenly over the labels with thumbnails, and each method's scores and fit."""
    datasets = []
    for d in {r.dataset.name: r.dataset for r in results if not r.not_here}.values():
        index = read_index(workspace.paths.index(d.name))
        if not has_labels(index):
            continue
        order = index["mos"].argsort(kind="stable").to_numpy()
        rows = order[np.unique(np.linspace(0, len(order) - 1, min(MOST_DOTS, len(order))).round().astype(int))]
        names = index["image"].iloc[rows].tolist()
        root = workspace.config.data / d.name
        datasets.append(
            {
                "name": d.name,
                "title": d.title,
                "label": label_name(d),
                "sign": sign(d.labels),
                "total": len(index),
                "images": names,
                "thumbs": [jpeg(root / n, THUMB) for n in names],
                "labels": index["mos"].iloc[rows].tolist(),
                "methods": [_points(r, workspace, rows) for r in results if r.dataset == d and not r.refused],
            }
        )
    return datasets


def _points(r: Result, workspace: Workspace, rows: np.ndarray) -> dict[str, Any]:
    """Scores of some rows of the index, the fitted curve, and the correlations as text."""
    table = read_scores(workspace.paths.scores(r.method.name, r.dataset.name))
    curve = r.curve()
    return {
        "name": r.method.name,
        "title": r.method.title,
        "sign": sign(r.method),
        "scores": [float(s) if np.isfinite(s) else None for s in table["score"].to_numpy(float)[rows]],
        "fit": [curve.top, curve.bottom, curve.middle, curve.width] if curve else None,
        "srcc": number_text(r.value("srcc", "whole")),
        "limits": [number_text(v) for v in r.limits("srcc")],
        "plcc": number_text(r.value("plcc_logistic", "whole")),
    }


def competitions(workspace: Workspace) -> list[dict[str, Any]]:
    """The gMAD pairs of every gMAD figure, with their images."""
    d, n_levels = workspace.gmad_set, workspace.config.gmad_levels
    figures: list[dict[str, Any]] = []
    for card in (f for f in workspace.figures() if f.kind == "gmad"):
        methods = workspace.figure_methods(card)
        try:
            rows = gmad.compete(workspace.paths, methods, d, n_levels)
        except NotRun as e:
            figures.append({"name": card.name, "title": card.title, "reason": str(e), "pairs": []})
            continue
        titles = {m.name: m.title for m in methods}
        pairs = []
        for _, row in rows.iterrows():
            level = ["low", "high"][row["level"]] if n_levels == 2 else f"level {row['level'] + 1} of {n_levels}"
            roles = {role: titles[row[role]] for role in ("defender", "attacker")}
            sides = [_side(row, side, methods, d, workspace.config.data) for side in ("better", "worse")]
            pairs.append({**roles, "level": level, "gap": row["gap"], "sides": sides})
        figures.append({"name": card.name, "title": card.title, "reason": "", "pairs": pairs})
    return figures


def _side(row: pd.Series, side: str, methods: list[MethodCard], d: DatasetCard, raw: Path) -> dict[str, Any]:
    """One image of a pair, with its scores and label in words."""
    words = [f"{m.title} {row[f'{side}_{m.name}']:.4g}" for m in methods]
    if f"{side}_label" in row:
        words.append(f"{label_name(d)} {row[f'{side}_label']:.4g}")
    name = row[f"{side}_image"]
    return {"side": side, "name": name, "words": words, "image": jpeg(raw / d.name / name, LARGE)}


def gmad_ranking(workspace: Workspace, results: list[Result]) -> Table | None:
    """The global gMAD ranking of all methods scored on the gMAD set; None for fewer than three, or without labels."""
    d = workspace.gmad_set
    here = [r for r in results if r.dataset == d and not r.refused]
    if len(here) < 3 or not has_labels(index := read_index(workspace.paths.index(d.name))):
        return None
    # images that all methods have scored
    scores = {r.method.name: r.scores([WHOLE])[0] for r in here}
    scored = np.logical_and.reduce([np.isfinite(s) for s in scores.values()])
    labels = oriented(index["mos"], d.labels)[scored]
    pairs = gmad.competition({n: s[scored] for n, s in scores.items()}, workspace.config.gmad_levels)
    ranking = gmad.ranking(pairs, labels)
    titles = {r.method.name: r.method.title for r in here}
    values = pd.DataFrame(
        {
            "Method": [titles[n] for n in ranking["method"]],
            "Aggressiveness": ranking["aggressiveness"],
            "Resistance": ranking["resistance"],
        }
    )
    note = (
        "Thurstone scale values, mean zero. Aggressiveness: how much worse, by the labels, the images are that a "
        "method's attacks expose in others; resistance: how little others expose in it."
    )
    caption = f"All {len(scores)} methods against each other on {d.title}, {int(scored.sum())} images."
    return Table("gMAD: global ranking", caption, values, [*labels_note([d]), note])
