"""The table of degradations: the levels of each type, and how much each changes a photo."""

from __future__ import annotations

import pandas as pd

from qualiclip.bench.absence import require
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.tables.table import Table
from qualiclip.bench.workspace import Workspace


def build(card: TableCard, workspace: Workspace) -> Table:
    """One row per type. Raises NotHere where the photos are not here."""
    photos = workspace.figure_set
    file = workspace.paths.degradations(photos.name).with_suffix(".csv")
    require(file)
    measured = pd.read_csv(file, keep_default_na=False)
    rows, extra = [], []
    for name, levels_of_type in measured.groupby("type", sort=False):
        first, levels = levels_of_type.iloc[0], list(levels_of_type.itertuples())
        row = {"Group": first["group"].replace("_", ", "), "Type": name, "Parameter": first["parameter"]}
        row |= {f"Level {x.level}": f"{x.value:g} ({255 * x.mae:.1f}; {x.psnr:.1f})" for x in levels}
        changed = [x.published for x in levels] != [x.value for x in levels]
        row["Published"] = "/".join(f"{x.published:g}" for x in levels) if changed else "same"
        rows.append(row | {"Why changed": first["why"], "ARNIQA's operation": first["arniqa"]})
        extra.append({f"{m} {x.level}": getattr(x, m) for m in ("mae", "psnr") for x in levels})
    note = (
        "Each level: parameter (mean absolute change of a pixel in 1/255; PSNR in dB), "
        f"means over {measured['photos'].iloc[0]} photos of {photos.title}."
    )
    operations = (
        "Measured with the operations of KADID-10k (generator: kadid). The authors' public generator (arniqa) has the "
        "same parameters; the last column states where its operation is another. Pixelation reads the nearest "
        "pixel of a grid that begins at the corner, as both originals do."
    )
    return Table(card.title, card.caption, pd.DataFrame(rows), [note, operations], extra=pd.DataFrame(extra))
