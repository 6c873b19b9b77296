"""The table of efficiency: size and speed of each method, measured one after the other on one image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.tables.kinds import timed_methods
from qualiclip.bench.tables.table import Table
from qualiclip.bench.workspace import Workspace
from qualiclip.io import read_json

COLUMNS = {  # column -> key of the measurement, factor
    "Parameters (M)": ("parameters", 1e-6),
    "FLOPs (G)": ("flops", 1e-9),
    "ms per image": ("seconds", 1e3),
    "Memory (MiB)": ("memory", 2**-20),
}


def _value(cost: dict[str, Any], key: str, factor: float) -> str | float:
    """One cell; undefined where nothing was measured, or there is nothing of it."""
    if cost["reason"]:
        return "not run"
    return float(cost[key]) * factor if cost[key] else np.nan


def build(card: TableCard, workspace: Workspace) -> Table:
    """One row per method. A column without any number is left out: memory on a CPU."""
    measured = [(m, read_json(workspace.paths.efficiency(m.name))) for m in timed_methods(card, workspace)]
    notes = [f"{m.title}: not run: {cost['reason']}" for m, cost in measured if cost["reason"]]
    table = pd.DataFrame({"Method": [m.title for m, _ in measured], "Family": [m.family for m, _ in measured]})
    for column, how in COLUMNS.items():
        table[column] = [_value(cost, *how) for _, cost in measured]
    empty = [c for c in COLUMNS if pd.to_numeric(table[c], errors="coerce").isna().all()]
    table = table.drop(columns=empty) if measured else pd.DataFrame()
    if measured:
        w, h = workspace.config.efficiency_size
        devices = sorted({f"{cost['device']}, {cost['threads']} threads" for _, cost in measured})
        memory = " Memory: peak allocated by torch on the GPU." if "Memory (MiB)" in table else ""
        notes.append(
            f"One {w}x{h} px image at a time, median of repeated calls, decoding not counted, on {'; '.join(devices)}. "
            "FLOPs: those of matrix products and convolutions as torch counts them, a multiply-add as two. Three "
            f"significant digits; – where a method has no parameters, or no such operations.{memory}"
        )
    notes = notes or [card.empty_note]
    group = "Family" if measured else None
    return Table(card.title, card.caption, table, notes, significant=3, row_group=group)
