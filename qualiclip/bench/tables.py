"""Tables from metrics files: CSV, Markdown and LaTeX.

`python -m qualiclip.bench.tables workflow/tables/zero_shot_authentic.yaml --config ... --out results/.../x.md`
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from qualiclip.bench import provenance
from qualiclip.bench.cards import CardError, DatasetCard, TableCard, read_card
from qualiclip.bench.files import write_text
from qualiclip.bench.workspace import Workspace

METRIC_TITLES = {
    "srcc": "SRCC",
    "plcc": "PLCC (raw)",
    "plcc_logistic": "PLCC",
    "krcc": "KRCC",
    "rmse": "RMSE",
    "srcc_within_group": "SRCC in group",
}
LOWER_BETTER = {"rmse"}


@dataclass
class Table:
    """A table ready to print: `values` with full precision, `notes` under it."""

    title: str
    caption: str
    values: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)

    def cell(self, column: str, value: object) -> str:
        """Three decimals, the best of a column bold (Markdown); text as it is; nothing for undefined."""
        if isinstance(value, float):
            if pd.isna(value):
                return ""
            text = f"{value:.3f}"
            return f"**{text}**" if value == self.best.get(column) else text
        return str(value)

    def strings(self) -> pd.DataFrame:
        return pd.DataFrame({c: [self.cell(c, v) for v in self.values[c]] for c in self.values})

    def markdown(self) -> str:
        parts = [f"## {self.title}", self.caption, self.strings().to_markdown(index=False, disable_numparse=True)]
        return "\n\n".join([*parts, *self.notes]) + "\n"

    def latex(self) -> str:
        """booktabs, `tabular` in a `table`; needs \\usepackage{booktabs}."""
        cells = self.strings().map(_latex)
        body = [" & ".join(row) + r" \\" for row in cells.itertuples(index=False)]
        header = " & ".join(_latex(c) for c in cells) + r" \\"
        notes = [rf"\par\footnotesize {_latex(n)}" for n in self.notes]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(self.title)}. {_latex(self.caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (cells.shape[1] - 1)}}}",
            r"\toprule",
            header,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *notes,
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    for plain, escaped in {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "_": r"\_",
        "#": r"\#",
        "$": r"\$",
    }.items():
        text = text.replace(plain, escaped)
    head, *bold = text.split("**")
    return head + "".join(rf"\textbf{{{b}}}" if i % 2 == 0 else b for i, b in enumerate(bold))


def statistic(metrics: pd.DataFrame, metric: str, how: str) -> tuple[float, int]:
    """Value and n of one metric: of the whole set, or the median over the test splits (n of the median split)."""
    rows = metrics[metrics["metric"] == metric]
    rows = rows[rows["split"] == "all"] if how == "whole" else rows[rows["split"] != "all"]
    return (float(rows["value"].median()), int(rows["n"].median())) if len(rows) else (float("nan"), 0)


def labels_note(datasets: list[DatasetCard]) -> list[str]:
    """One sentence for each kind of label that is no human opinion."""
    kinds: dict[str, list[str]] = {}
    for d in datasets:
        if d.labels and not d.human:
            kinds.setdefault(d.labels.kind, []).append(d.title)
    return [f"Labels of {', '.join(titles)}: {kind}, no human opinions." for kind, titles in kinds.items()]


def missing(d: DatasetCard, index: pd.DataFrame) -> int:
    """Images that a complete set has and this index has not; 0 where the card does not say how many there are."""
    return d.images.count - len(index) if d.images.count else 0


def missing_note(datasets: list[DatasetCard], space: Workspace) -> list[str]:
    """One sentence for each set that was indexed without all of its images."""
    counts = [(d, missing(d, pd.read_csv(space.index(d), usecols=["image"]))) for d in datasets]
    return [f"{d.title} is not complete here: {n} of its {d.images.count} images are missing." for d, n in counts if n]


def correlations(card: TableCard, space: Workspace) -> Table:
    """Methods by rows; for each dataset the metrics of the card, signed, 1 is perfect."""
    methods, datasets = space.table_methods(card), space.table_datasets(card)
    notes, rows, sizes = [], [], {}
    for m in methods:
        row: dict[str, object] = {"Method": m.title, "Family": m.family}
        for d in datasets:
            metrics = pd.read_csv(space.metrics(m, d))
            refused = metrics[metrics["split"] == "not run"]
            seen = d.name in m.trained_on
            wanted = [*card.metrics, *(["srcc_within_group"] if card.within_group and d.labels.group else [])]
            for metric in wanted:
                value, n = statistic(metrics, metric, card.statistic)
                row[f"{d.title} {METRIC_TITLES[metric]}"] = "not run" if len(refused) else value
                sizes.setdefault(d.title, set()).add(n)
            if len(refused):
                notes.append(f"{m.title} on {d.title}: not run: {refused['metric'].iloc[0]}")
            if seen:
                notes.append(f"{m.title} was trained on {d.title}: not a zero-shot result.")
        rows.append(row)
    values = pd.DataFrame(rows).sort_values(["Family", "Method"], ignore_index=True, kind="stable")
    how = "whole set" if card.statistic == "whole" else "median over ten test splits"
    counts = "; ".join(f"{t}: {'/'.join(map(str, sorted(s - {0}, reverse=True)))}" for t, s in sizes.items())
    notes += [f"Protocol: {how}, signed so that 1 is perfect; PLCC after a four-parameter logistic. n: {counts}."]
    ranked = {c: pd.to_numeric(values[c], errors="coerce") for c in values.columns[2:]}
    best = {c: float(v.min() if c.endswith(" RMSE") else v.max()) for c, v in ranked.items()}
    notes = labels_note(datasets) + missing_note(datasets, space) + notes
    return Table(card.title, card.caption, values, notes, best)


def datasets(card: TableCard, space: Workspace) -> Table:
    """What each dataset of the scale holds, measured from its index."""
    rows = []
    for d in space.datasets():
        index = pd.read_csv(space.index(d))
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
    notes = labels_note(space.datasets()) + missing_note(space.datasets(), space)
    return Table(card.title, card.caption, pd.DataFrame(rows), notes)


def _split_text(d: DatasetCard, index: pd.DataFrame) -> str:
    columns = [c for c in index if c.startswith("split_")]
    if not columns:
        return "none"
    sizes = index[columns[0]].value_counts()
    by = f" by {d.splits.by}" if d.splits.by else ""
    return f"{len(columns)} {d.splits.kind}{by}: " + "/".join(str(sizes.get(p, 0)) for p in ("train", "val", "test"))


KINDS = {"correlations": correlations, "datasets": datasets}


def write(table: Table, out: Path, banner: str | None) -> None:
    """<out>.csv with full precision, .md and .tex as printed."""
    if banner:
        table.notes.insert(0, f"**{banner}**")
    write_text(out.with_suffix(".csv"), table.values.to_csv(index=False))
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
        write(KINDS[card.kind](card, space), args.out, space.config.banner)
    except CardError as e:
        sys.exit(f"error: {e}")
    provenance.record(args.out, table=card.name, scale=space.config.scale)


if __name__ == "__main__":
    main()
