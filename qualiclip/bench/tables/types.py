"""The table of types: how the SRCC of each method within one type of degradation varies over the types."""

from __future__ import annotations

import pandas as pd

from qualiclip.bench.captions import FAMILIES, labels_note, type_title
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.tables.by_type import by_type, number_range
from qualiclip.bench.tables.table import Table, number_text
from qualiclip.bench.workspace import Workspace

WORST = 3  # types that are named


def _summary(of: pd.DataFrame) -> dict[str, object]:
    """Median, number of types that are not significantly above zero, and the worst types of one method and set."""
    known = of.dropna(subset="srcc").sort_values("srcc")
    worst = [f"{type_title(r.type)} {number_text(r.srcc, 2)}" for r in known.head(WORST).itertuples()]
    failed = f"{int((known['low'] <= 0).sum())} of {len(known)}"
    return {"median": known["srcc"].median(), "not above 0": failed, "worst types": ", ".join(worst)}


def build(card: TableCard, workspace: Workspace) -> Table:
    """One row per method; three columns for each set. The CSV holds every type."""
    data = by_type(workspace)
    if data.empty:
        return Table(card.title, card.caption, pd.DataFrame(), [card.empty_note])
    datasets = [workspace.all_datasets[name] for name in data["dataset"].unique()]
    medians = data.groupby("method")["srcc"].median()
    methods = [workspace.all_methods[name] for name in medians.sort_values(ascending=False).index]
    methods = sorted(methods, key=lambda m: list(FAMILIES).index(m.family))
    # one row per method
    table = Table(card.title, card.caption, pd.DataFrame({"Method": [m.title for m in methods]}), row_group="Family")
    table.values["Family"] = [m.family for m in methods]
    for d in datasets:
        of_set = {name: _summary(rows) for name, rows in data[data["dataset"] == d.name].groupby("method")}
        for key in ("median", "not above 0", "worst types"):
            table.values[f"{d.title} {key}"] = [of_set[m.name][key] if m.name in of_set else "" for m in methods]
            table.headers[f"{d.title} {key}"] = (d.title, key)
    # notes, and all types
    sizes = "; ".join(f"{d.title} {number_range(data.loc[data['dataset'] == d.name, 'n'])}" for d in datasets)
    table.notes = [
        *labels_note(datasets),
        "SRCC within the images of one type, 1 is perfect. Not above 0: types whose lower 95% limit is not above zero. "
        f"Images of a type, n: {sizes}. Every type is in the CSV file.",
    ]
    table.results = data
    return table
