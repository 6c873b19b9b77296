"""Every type of one degradation group at its five levels, with parameter, mean absolute change and PSNR."""

from __future__ import annotations

from functools import partial

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import Drawing, degradation_grid, read_degradations
from qualiclip.bench.workspace import Workspace


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    """Raises CardError for an unknown group."""
    paths, photos = workspace.paths, workspace.figure_set.name
    measured = read_degradations(paths, photos)
    rows = measured[measured["group"] == card.group]
    if rows.empty:
        raise CardError(f"{card.path}: group: none of {', '.join(measured['group'].unique())}")
    return Drawing(partial(degradation_grid, paths, photos, list(rows["type"].unique()), measured), rows)
