"""The tables of degradations: the levels of each type, how much each changes a photo, and where the values are from."""

from __future__ import annotations

import pandas as pd

from qualiclip.bench.absence import require
from qualiclip.bench.captions import group_title, type_title
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.tables.table import Table
from qualiclip.bench.workspace import Workspace

CHANGES = {"MAE": ("mae", 255.0, ".1f"), "PSNR": ("psnr", 1.0, ".0f")}  # header -> column, factor, format
SOURCES = (
    "Measured with the operations of KADID-10k (generator: kadid). The authors' public generator (arniqa) has the "
    "same parameters; the last column states where its operation is another. Pixelation reads the nearest "
    "pixel of a grid that begins at the corner, as both originals do."
)


def build(card: TableCard, workspace: Workspace) -> Table:
    """One row per type: parameters of the five levels; below them the changes, and the published values.

    Raises NotHere where the photos are not here.
    """
    photos = workspace.figure_set
    file = workspace.paths.degradations(photos.name).with_suffix(".csv")
    require(file)
    measured = pd.read_csv(file, keep_default_na=False)
    levels = sorted(measured["level"].unique())
    parameters, changes, sources = [], [], []
    for name, of_type in measured.groupby("type", sort=False):
        first, by_level = of_type.iloc[0], of_type.set_index("level")
        title = {"Group": group_title(first["group"]), "Type": type_title(name)}
        values = by_level["value"].astype(float)
        parameters.append(title | {"Parameter": first["parameter"]} | {f"Level {k}": values[k] for k in levels})
        measures = {f"Level {k} {m}": f * float(by_level[c][k]) for k in levels for m, (c, f, _) in CHANGES.items()}
        changes.append(title | measures)
        same = list(of_type["published"]) == list(of_type["value"])
        published = "same" if same else "/".join(f"{x:g}" for x in of_type["published"])
        sources.append(title | {"Published": published, "Why changed": first["why"], "ARNIQA": first["arniqa"]})
    # the changes, two columns below each level
    block = Table("Degradations: measured change", "", pd.DataFrame(changes), row_group="Group")
    block.headers = {f"Level {k} {m}": (f"Level {k}", m) for k in levels for m in CHANGES}
    block.formats = {f"Level {k} {m}": form for k in levels for m, (_, _, form) in CHANGES.items()}
    count = measured["photos"].iloc[0]
    block.caption = (
        f"MAE: mean absolute change of a pixel, in 1/255. PSNR in dB. Means over {count} photos of {photos.title}."
    )
    origin = Table("Degradations: published values", SOURCES, pd.DataFrame(sources), row_group="Group")
    formats = {f"Level {k}": "g" for k in levels}
    table = Table(card.title, card.caption, pd.DataFrame(parameters), row_group="Group", formats=formats)
    table.blocks = [block, origin]
    return table
