"""Tables from metrics files: CSV, Markdown and LaTeX.

`python -m qualiclip.bench.tables workflow/tables/zero_shot_authentic.yaml --config ... --out results/.../x.md`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from qualiclip.bench import provenance
from qualiclip.bench.agreement import correlations
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard, TableCard
from qualiclip.bench.files import command, read_json, write_text
from qualiclip.bench.table import Table, labels_note, missing, missing_note
from qualiclip.bench.tabular import read_index
from qualiclip.bench.workspace import Workspace


def datasets(card: TableCard, space: Workspace) -> Table:
    """What each dataset of the scale holds, measured from its index."""
    rows, incomplete = [], []
    for d in space.datasets():
        index = read_index(space.index(d))
        incomplete += missing_note(d, index)
        w, h = index["width"], index["height"]
        size = f"{w.iloc[0]}x{h.iloc[0]}"
        if w.nunique() > 1 or h.nunique() > 1:
            size = f"{w.median():.0f}x{h.median():.0f} (median)"
        rows.append(
            {
                "Dataset": d.title,
                "Family": d.family,
                "Images": len(index),
                "Missing": missing(d, index),
                "Pixels": size,
                "Labels": d.labels.kind if d.labels else "none",
                "Lowest": float(index["mos"].min()) if d.labels else "",
                "Highest": float(index["mos"].max()) if d.labels else "",
                "Better": ("higher" if d.labels.higher_better else "lower") if d.labels else "",
                "Splits": _split_text(d, index),
                "Source": d.citation,
            }
        )
    return Table(card.title, card.caption, pd.DataFrame(rows), labels_note(space.datasets()) + incomplete)


def _split_text(d: DatasetCard, index: pd.DataFrame) -> str:
    columns = [c for c in index if c.startswith("split_")]
    if not columns:
        return "none"
    sizes = index[columns[0]].value_counts()
    by = f" by {d.splits.by}" if d.splits and d.splits.by else ""
    kind = d.splits.kind if d.splits else "published"
    return f"{len(columns)} {kind}{by}: " + "/".join(str(sizes.get(p, 0)) for p in ("train", "val", "test"))


def degradations(card: TableCard, space: Workspace) -> Table:
    """The levels of each type, and how much each changes a photo."""
    measured = pd.read_csv(space.degraded.with_suffix(".csv"), keep_default_na=False)
    rows, extra = [], []
    for kind, found in measured.groupby("type", sort=False):
        one, levels = found.iloc[0], list(found.itertuples())
        row = {"Group": one["group"].replace("_", ", "), "Type": kind, "Parameter": one["parameter"]}
        row |= {f"Level {x.level}": f"{x.value:g} ({255 * x.mae:.1f}; {x.psnr:.1f})" for x in levels}
        changed = [x.published for x in levels] != [x.value for x in levels]
        row["Published"] = "/".join(f"{x.published:g}" for x in levels) if changed else "same"
        rows.append(row | {"Why changed": one["why"]})
        extra.append({f"{m} {x.level}": getattr(x, m) for m in ("mae", "psnr") for x in levels})
    photos = space.all_datasets[space.config.photos]
    note = (
        "Each level: parameter (mean absolute change of a pixel in 1/255; PSNR in dB), "
        f"means over {measured['photos'].iloc[0]} photos of {photos.title}."
    )
    return Table(card.title, card.caption, pd.DataFrame(rows), [note], extra=pd.DataFrame(extra))


def efficiency(card: TableCard, space: Workspace) -> Table:
    """Size and speed of each method, measured one after the other on one image."""
    rows, notes = [], []
    found = [(m, read_json(space.cost(m))) for m in space.timed_methods(card)]
    for m, cost in found:
        if cost["not_run"]:
            notes.append(f"{m.title}: not run: {cost['not_run']}")
        row = {"Method": m.title, "Family": m.family}
        for column, key, factor in (
            ("Parameters (M)", "parameters", 1e-6),
            ("FLOPs (G)", "flops", 1e-9),
            ("ms per image", "seconds", 1e3),
            ("Images per s", "images_per_second", 1),
            ("Memory (MiB)", "memory", 2**-20),
        ):
            row[column] = "not run" if cost["not_run"] else float(cost[key]) * factor
        rows.append(row)
    if found:
        w, h = space.config.efficiency_size
        devices = sorted({f"{c['device']}, {c['threads']} threads" for _, c in found})
        notes.append(
            f"One {w}x{h} px image at a time, median of repeated calls, decoding not counted, on {'; '.join(devices)}. "
            "FLOPs: those of matrix products and convolutions as torch counts them, a multiply-add as two. Memory: "
            "peak allocated by torch on a GPU, on a CPU the peak resident size of the process."
        )
    return Table(card.title, card.caption, pd.DataFrame(rows), notes or [card.empty], decimals=2)


KINDS = {
    "correlations": correlations,
    "datasets": datasets,
    "degradations": degradations,
    "efficiency": efficiency,
}


def render(card: TableCard, space: Workspace) -> Table:
    """The table of a card, with the scale's banner on top of its notes."""
    table = KINDS[card.kind](card, space)
    if space.config.banner:
        table.notes.insert(0, f"**{space.config.banner}**")
    return table


def write(table: Table, out: Path) -> None:
    """<out>.csv with full precision, .md and .tex as printed."""
    write_text(out.with_suffix(".csv"), table.csv())
    write_text(out.with_suffix(".tex"), table.latex())
    write_text(out.with_suffix(".md"), table.markdown())


def main() -> None:
    parser = argparse.ArgumentParser(description="Render one table from metrics files.")
    parser.add_argument("card", type=Path, help="workflow/tables/<id>.yaml")
    Workspace.add_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="tables/<id>.md; .csv and .tex beside it")
    args = parser.parse_args()
    try:
        card, space = read_card(TableCard, args.card), Workspace.from_arguments(args)
        write(render(card, space), args.out)
    except CardError as e:
        sys.exit(f"error: {e}")
    provenance.record(args.out, table=card.name, scale=space.config.scale)


if __name__ == "__main__":
    command(main)
