"""The table of released weights: what two files say of the training that lies between them."""

from __future__ import annotations

import pandas as pd

from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.tables.table import Table
from qualiclip.bench.workspace import Workspace
from qualiclip.io import read_json

NOT_RUN = "not run"


def build(card: TableCard, workspace: Workspace) -> Table:
    """One row per comparison."""
    rows, notes = [], []
    for facts in read_json(workspace.paths.released_weights):
        row = {"Files": facts["title"]}
        if facts["reason"]:
            notes.append(f"{facts['title']}: not run: {facts['reason']}")
            columns = ("Batch norm", "Weights moved", "Largest change", "Batches counted", "Equal tensors", "Prompts")
            rows.append(row | dict.fromkeys(columns, NOT_RUN))
            continue
        moved, largest = facts["weights"].get("share_moved", 0.0), facts["lr_times_steps_at_least"]
        rows.append(
            row
            | {
                "Batch norm": facts["batch_norm"],
                "Weights moved": f"{moved:.1%}",
                "Largest change": f"{largest:.3g}",
                "Batches counted": "not stored" if facts["batches_tracked"] is None else facts["batches_tracked"],
                "Equal tensors": f"{facts['equal_tensors']} of {facts['common_tensors']}",
                "Prompts": f"{facts['prompts']}: {facts['wording']}",
            }
        )
    notes.append(
        "AdamW moves a weight by about the learning rate at most in a step: the largest change is a lower bound on "
        "learning rate times steps; the recalled settings allow 8.75e-5 (1e-9 times 87,500)."
    )
    return Table(card.title, card.caption, pd.DataFrame(rows), notes)
