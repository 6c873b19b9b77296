"""The table of efficiency: size and speed of each method, measured one after the other on one image."""

from __future__ import annotations

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
    "Images per s": ("images_per_second", 1),
    "Memory (MiB)": ("memory", 2**-20),
}


def build(card: TableCard, workspace: Workspace) -> Table:
    """One row per method."""
    rows, notes = [], []
    measured = [(m, read_json(workspace.paths.efficiency(m.name))) for m in timed_methods(card, workspace)]
    for m, cost in measured:
        if cost["reason"]:
            notes.append(f"{m.title}: not run: {cost['reason']}")
        row: dict[str, str | float] = {"Method": m.title, "Family": m.family}
        for column, (key, factor) in COLUMNS.items():
            row[column] = "not run" if cost["reason"] else float(cost[key]) * factor
        rows.append(row)
    if measured:
        w, h = workspace.config.efficiency_size
        devices = sorted({f"{cost['device']}, {cost['threads']} threads" for _, cost in measured})
        notes.append(
            f"One {w}x{h} px image at a time, median of repeated calls, decoding not counted, on {'; '.join(devices)}. "
            "FLOPs: those of matrix products and convolutions as torch counts them, a multiply-add as two. Memory: "
            "peak allocated by torch on a GPU, on a CPU the peak resident size of the process."
        )
    return Table(card.title, card.caption, pd.DataFrame(rows), notes or [card.empty_note], decimals=2)
