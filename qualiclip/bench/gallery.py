"""Pictures and points of the report, as data that a page can hold: no file is referred to."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from qualiclip.bench import agreement, correlate, gmad
from qualiclip.bench.card import CardError
from qualiclip.bench.cards import DatasetCard, MethodCard
from qualiclip.bench.figures import compete
from qualiclip.bench.table import Table, labels_note
from qualiclip.bench.tabular import read_index, read_scores
from qualiclip.bench.workspace import Workspace
from qualiclip.images import open_rgb

THUMB, LARGE, FIGURE = 112, 640, 1600  # px of the longer side
SHOWN = 150  # images of a set in the scatter plot


def _address(image: Image.Image, side: int, form: str) -> str:
    """An image, made smaller where it is larger than `side`, as a data address."""
    buffer = io.BytesIO()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    image.save(buffer, form, quality=82)
    return f"data:image/{form.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()


def inline(path: Path) -> str:
    """A figure as a data address, in WebP: a tenth of the PNG's size."""
    return _address(open_rgb(path), FIGURE, "WEBP")


def jpeg(path: Path, side: int) -> str:
    """A smaller copy of a photo as a data address; empty where the photo is not at hand."""
    return _address(open_rgb(path), side, "JPEG") if path.is_file() else ""


def _label(d: DatasetCard) -> str:
    return "MOS" if d.human else f"label ({d.labels.kind})"


def leaderboard(found: list[agreement.Result]) -> tuple[list[DatasetCard], list[dict[str, Any]]]:
    """Sets by columns; a row a method: whole-set SRCC with limits on each set, and the mean over the sets."""
    sets = list({r.dataset.name: r.dataset for r in found}.values())
    methods = {r.method.name: r.method for r in found if r.method.family != "ablation"}
    rows = []
    for name, m in methods.items():
        own = {r.dataset.name: r for r in found if r.method.name == name}
        cells = []
        for d in sets:
            r = own.get(d.name)
            value, (low, high) = (r.value("srcc", "whole"), r.limits("srcc")) if r else (np.nan, (np.nan, np.nan))
            refused = r.refused if r else ""
            cells.append({"value": value, "low": low, "high": high, "refused": refused, "leak": bool(r and r.leaked)})
        known = [c["value"] for c in cells if np.isfinite(c["value"])]
        mean = float(np.mean(known)) if len(known) == len(sets) else np.nan
        rows.append({"title": m.title, "family": m.family, "cells": cells, "mean": mean})
    return sets, sorted(rows, key=lambda r: -r["mean"] if np.isfinite(r["mean"]) else 2)


def scatter(space: Workspace, found: list[agreement.Result]) -> list[dict[str, Any]]:
    """Per set: images spread evenly over the labels with thumbnails, and each method's scores and fit."""
    out = []
    for d in {r.dataset.name: r.dataset for r in found}.values():
        index = read_index(space.index(d))
        order = index["mos"].argsort(kind="stable").to_numpy()
        rows = order[np.unique(np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int))]
        methods = [_points(r, space, rows) for r in found if r.dataset == d and not r.refused]
        names = index["image"].iloc[rows].tolist()
        root = space.config.data / d.name
        out.append(
            {
                "name": d.name,
                "title": d.title,
                "label": _label(d),
                "sign": 1 if d.labels.higher_better else -1,
                "total": len(index),
                "images": names,
                "thumbs": [jpeg(root / n, THUMB) for n in names],
                "labels": index["mos"].iloc[rows].tolist(),
                "methods": methods,
            }
        )
    return out


def _points(r: agreement.Result, space: Workspace, rows: np.ndarray) -> dict[str, Any]:
    scores = read_scores(space.scores(r.method, r.dataset))["score"].to_numpy(float)[rows]
    curve = r.curve()
    return {
        "name": r.method.name,
        "title": r.method.title,
        "sign": 1 if r.method.higher_better else -1,
        "scores": [float(s) if np.isfinite(s) else None for s in scores],
        "fit": [curve.top, curve.bottom, curve.middle, curve.width] if curve else None,
        "srcc": _rounded(r.value("srcc", "whole")),
        "limits": [_rounded(v) for v in r.limits("srcc")],
        "plcc": _rounded(r.value("plcc_logistic", "whole")),
    }


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def competitions(space: Workspace) -> list[dict[str, Any]]:
    """The gMAD pairs of every gMAD figure, with their images."""
    d = space.all_datasets[space.config.gmad]
    out: list[dict[str, Any]] = []
    for card in (f for f in space.figures() if f.kind == "gmad"):
        methods = [space.all_methods[m] for m in card.methods]
        try:
            found = compete(space, methods, d)
        except CardError as e:
            out.append({"title": card.title, "why": str(e), "pairs": []})
            continue
        titles = {m.name: m.title for m in methods}
        pairs = []
        for _, row in found.iterrows():
            sides = []
            for side in ("better", "worse"):
                said = [f"{m.title} {row[f'{side}_{m.name}']:.4g}" for m in methods]
                if f"{side}_label" in row:
                    said.append(f"{_label(d)} {row[f'{side}_label']:.4g}")
                name = row[f"{side}_image"]
                image = jpeg(space.config.data / d.name / name, LARGE)
                sides.append({"side": side, "name": name, "said": said, "image": image})
            level = f"level {row['level'] + 1} of {space.config.gmad_levels}, low to high"
            who = {role: titles[row[role]] for role in ("defender", "attacker")}
            pairs.append({**who, "level": level, "gap": row["gap"], "sides": sides})
        out.append({"title": card.title, "why": "", "pairs": pairs})
    return out


def gmad_ranking(space: Workspace, found: list[agreement.Result]) -> Table | None:
    """The global gMAD ranking of all methods scored on the gMAD set; None for fewer than three."""
    d = space.all_datasets[space.config.gmad]
    here = [r for r in found if r.dataset == d and not r.refused and r.method.family != "ablation"]
    scores = {r.method.name: r.scores(space, ["all"])[0] for r in here}
    if len(scores) < 3:
        return None
    scored = np.logical_and.reduce([np.isfinite(s) for s in scores.values()])
    labels = correlate.orient_labels(read_index(space.index(d))["mos"], d)[scored]
    pairs = gmad.competition({n: s[scored] for n, s in scores.items()}, space.config.gmad_levels)
    table = gmad.ranking(pairs, labels)
    titles: dict[str, MethodCard] = {r.method.name: r.method for r in here}
    values = pd.DataFrame(
        {
            "Method": [titles[n].title for n in table["method"]],
            "Aggressiveness": table["aggressiveness"],
            "Resistance": table["resistance"],
        }
    )
    note = (
        "Thurstone scale values, mean zero. Aggressiveness: how much worse, by the labels, the images are that a "
        "method's attacks expose in others; resistance: how little others expose in it."
    )
    caption = f"All {len(scores)} methods against each other on {d.title}, {int(scored.sum())} images."
    return Table("gMAD: global ranking", caption, values, [*labels_note([d]), note])
