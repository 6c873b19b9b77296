"""Draw one figure: PNG, PDF in two widths, a LaTeX float, and the plotted numbers as CSV.

`python -m qualiclip.bench.figures.draw workflow/figures/score_vs_intensity.yaml --config ... --out .../x.png`
"""

from __future__ import annotations

import importlib
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from qualiclip.bench import job, provenance
from qualiclip.bench.absence import NotRun, require
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.scale import add_config_argument, config_of
from qualiclip.bench.figures import kinds
from qualiclip.bench.figures.style import COLUMN, TEXT, Drawing, wrapped
from qualiclip.bench.tables.latex import escaped
from qualiclip.bench.workspace import Workspace
from qualiclip.io import atomic, write_text

FLOAT = r"""%% One column wide: \begin{figure}, \columnwidth and %(name)s_column
\providecommand{\figures}{.}
\begin{figure*}[tp]
\centering
\includegraphics[width=\textwidth]{\figures/%(name)s}
\caption{%(caption)s}\label{fig:%(name)s}
\end{figure*}
"""


def _paint_reason(reason: str, width: float) -> Figure:
    """A sentence in place of a figure."""
    figure = plt.figure(figsize=(width, 1.2))
    figure.text(0.5, 0.5, wrapped(f"Not drawn. {reason}", width - 0.4), ha="center", va="center")
    return figure


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The figure of a card, or why it cannot be drawn; with the banner of the scale as its first note.

    Raises CardError.
    """
    module = importlib.import_module(kinds.module(card))
    try:
        require(*kinds.inputs(card, workspace))
        drawing = module.draw(card, workspace)
    except NotRun as e:
        drawing = Drawing(partial(_paint_reason, str(e)), pd.DataFrame({"not_drawn": [str(e)]}))
    if workspace.config.banner:
        drawing.notes.insert(0, workspace.config.banner)
    return drawing


def _save(figure: Figure, out: Path, **options: Any) -> None:
    """One file, without the date of creation: the same data gives the same file."""
    metadata = {"CreationDate": None} if out.suffix == ".pdf" else {"Software": None}
    with atomic(out) as temporary:
        figure.savefig(temporary, metadata=metadata, **options)


def write(drawing: Drawing, card: FigureCard, out: Path) -> None:
    """For print <out>.pdf, <out>_column.pdf and the caption in <out>.tex; <out>.png with its notes below; <out>.csv."""
    write_text(out.with_suffix(".csv"), drawing.data.to_csv(index=False))
    caption = " ".join([f"{card.title}.", card.caption, *drawing.notes])
    write_text(out.with_suffix(".tex"), FLOAT % {"name": out.stem, "caption": escaped(caption)})
    narrow, wide = drawing.paint(COLUMN), drawing.paint(TEXT)
    _save(narrow, out.with_name(f"{out.stem}_column.pdf"))
    _save(wide, out.with_suffix(".pdf"))
    # a picture has no caption
    notes = textwrap.fill(" ".join(drawing.notes), int(wide.get_figwidth() * 16))
    wide.text(0.5, -0.01, notes, color="#555555", ha="center", va="top")
    _save(wide, out.with_suffix(".png"), bbox_inches="tight")
    plt.close(narrow)
    plt.close(wide)


def main() -> None:
    parser = job.parser("Draw one figure.", "card", "--out")
    add_config_argument(parser)
    args = parser.parse_args()
    card, workspace = read_card(FigureCard, args.card), Workspace(config_of(args))
    write(draw(card, workspace), card, args.out)
    provenance.record(args.out, figure=card.name, scale=workspace.config.scale)


if __name__ == "__main__":
    job.run(main)
