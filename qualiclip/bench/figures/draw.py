"""Draw one figure: PNG and PDF, and the plotted numbers as CSV.

`python -m qualiclip.bench.figures.draw workflow/figures/score_vs_intensity.yaml --config ... --out .../x.png`
"""

from __future__ import annotations

import importlib
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from qualiclip.bench import job, provenance
from qualiclip.bench.absence import NotRun, require
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.scale import add_config_argument, config_of
from qualiclip.bench.figures import kinds
from qualiclip.bench.figures.style import Drawing
from qualiclip.bench.workspace import Workspace
from qualiclip.io import atomic, write_text


def not_drawn(why: NotRun) -> Drawing:
    """The reason in place of a figure."""
    figure = plt.figure(figsize=(5.2, 1))
    figure.text(0.5, 0.5, textwrap.fill(f"Not drawn. {why}", 80), ha="center", va="center")
    return Drawing(figure, pd.DataFrame({"not_drawn": [str(why)]}))


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """The figure of a card, or why it cannot be drawn; with the banner of the scale as its first note.

    Raises CardError.
    """
    module = importlib.import_module(kinds.module(card))
    try:
        require(*kinds.inputs(card, workspace))
        drawing = module.draw(card, workspace)
    except NotRun as e:
        drawing = not_drawn(e)
    if workspace.config.banner:
        drawing.notes.insert(0, workspace.config.banner)
    return drawing


def write(drawing: Drawing, out: Path) -> None:
    """<out>.png, .pdf and .csv; the notes are printed below the figure."""
    if drawing.notes:
        note = textwrap.fill(" ".join(drawing.notes), 100)
        drawing.figure.text(0.5, 0, note, fontsize=5.5, color="#555555", ha="center", va="top")
    write_text(out.with_suffix(".csv"), drawing.data.to_csv(index=False))
    # without the date of creation, so that the same data gives the same file
    for suffix, metadata in ((".pdf", {"CreationDate": None}), (".png", {"Software": None})):
        with atomic(out.with_suffix(suffix)) as temporary:
            drawing.figure.savefig(temporary, metadata=metadata, bbox_inches="tight")
    plt.close(drawing.figure)


def main() -> None:
    parser = job.parser("Draw one figure.", "card", "--out")
    add_config_argument(parser)
    args = parser.parse_args()
    card, workspace = read_card(FigureCard, args.card), Workspace(config_of(args))
    write(draw(card, workspace), args.out)
    provenance.record(args.out, figure=card.name, scale=workspace.config.scale)


if __name__ == "__main__":
    job.run(main)
