"""The first type of each degradation group at its five levels (Fig. 2 of the paper)."""

from __future__ import annotations

from functools import partial

from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures.style import Drawing, degradation_grid, read_degradations
from qualiclip.bench.workspace import Workspace


def draw(card: FigureCard, workspace: Workspace) -> Drawing:
    paths, photos = workspace.paths, workspace.figure_set.name
    measured = read_degradations(paths, photos)
    types = list(measured.drop_duplicates("group")["type"])
    paint = partial(degradation_grid, paths, photos, types, measured)
    return Drawing(paint, measured[measured["type"].isin(types)])
