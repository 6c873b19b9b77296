"""The table of datasets: what each dataset of the scale holds, counted in its index."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pandas as pd

from qualiclip.bench.absence import NOT_HERE, NotHere
from qualiclip.bench.captions import labels_note, missing_images, missing_note
from qualiclip.bench.cards.base import DatasetFamily
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.data.splits import N_SPLITS
from qualiclip.bench.formats import has_labels, read_index, split_columns
from qualiclip.bench.tables.table import Table
from qualiclip.bench.workspace import Workspace

COLUMNS = ("Dataset", "Version", "Family", "Images", "Missing", "Pixels", "Labels", "Label range", "Better", "Splits")
SPLITS = {"seeded": "seeded", "files": "published", "column": "official"}  # `use` of a card -> in words


def _pixels(index: pd.DataFrame) -> str:
    """Width x height of all images, or the median of both."""
    w, h = index["width"], index["height"]
    if w.nunique() > 1 or h.nunique() > 1:
        return f"{w.median():.0f}x{h.median():.0f} (median)"
    return f"{w.iloc[0]}x{h.iloc[0]}"


def _splits(d: DatasetCard, index: pd.DataFrame) -> str:
    """Number, origin and sizes of the splits."""
    columns = split_columns(index)
    if not columns:
        return "none"
    sizes = index[columns[0]].value_counts()
    by = f" by {d.splits.by}" if d.splits.by else ""
    parts = "/".join(str(sizes.get(p, 0)) for p in ("train", "val", "test"))
    if d.splits.use == "seeded" and len(columns) < N_SPLITS:
        return f"{len(columns)}, one {d.splits.by or 'image'} left out: {parts}"
    return f"{len(columns)} {SPLITS[d.splits.use]}{by}: {parts}"


def _range(d: DatasetCard, index: pd.DataFrame) -> str:
    """The range of the labels that the card states, or else that of the labels."""
    found = (index["mos"].min(), index["mos"].max()) if has_labels(index) else (np.nan, np.nan)
    return " to ".join(f"{b if a is None else a:.3g}" for a, b in zip(d.labels.range, found, strict=True))


def build(card: TableCard, workspace: Workspace) -> Table:
    """One row per dataset."""
    rows: list[dict[str, Any]] = []
    incomplete = []
    for d in sorted(workspace.datasets(), key=lambda d: get_args(DatasetFamily).index(d.family)):
        try:
            index = read_index(workspace.paths.index(d.name))
        except NotHere as e:
            incomplete.append(str(e))
            row = {
                "Dataset": d.title,
                "Version": d.version,
                "Family": d.family,
                "Images": NOT_HERE,
                "Source": d.citation,
            }
            rows.append(dict.fromkeys(COLUMNS, "") | row)
            continue
        incomplete += missing_note(d, index)
        rows.append(
            {
                "Dataset": d.title,
                "Version": d.version,
                "Family": d.family,
                "Images": len(index),
                "Missing": missing_images(d, index),
                "Pixels": _pixels(index),
                "Labels": d.labels.origin if d.labels else "none",
                "Label range": _range(d, index) if d.labels else "",
                "Better": ("higher" if d.labels.higher_better else "lower") if d.labels else "",
                "Splits": _splits(d, index),
                "Source": d.citation,
            }
        )
    notes = labels_note(workspace.datasets()) + incomplete
    return Table(card.title, card.caption, pd.DataFrame(rows), notes, row_group="Family")
