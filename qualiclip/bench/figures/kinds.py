"""The kinds of figures. A kind is a module of this package with `draw(card, workspace) -> Drawing`, and one line here.

A line names the kind, which is the name of its module; the files that such a figure is drawn from; how many methods
its card must name at least; and the settings besides the card that change it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.tables.kinds import typed_files
from qualiclip.bench.workspace import Workspace
from qualiclip.config import TrainConfig
from qualiclip.io import digest


@dataclass(frozen=True)
class Kind:
    """What a kind of figure needs."""

    inputs: Callable[[FigureCard, Workspace], list[Path]]
    methods: int = 0
    group: bool = False
    settings: Callable[[Workspace], Any] = lambda workspace: None


def _gmad(card: FigureCard, workspace: Workspace) -> list[Path]:
    """The index of the gMAD set, and the scores of the rivals on it."""
    d, paths = workspace.gmad_set.name, workspace.paths
    return [paths.index(d), *(paths.scores(m.name, d) for m in workspace.figure_methods(card))]


def _training(card: FigureCard, workspace: Workspace) -> list[Path]:
    """The records of the variants. Raises CardError for a method that is not trained here."""
    for m in workspace.figure_methods(card):
        if not m.variant:
            raise CardError(f"{card.path}: methods: {m.name} is not trained here and has no loss curve")
    return [workspace.paths.train_record(m.variant) for m in workspace.figure_methods(card)]


def _compared(card: FigureCard, workspace: Workspace) -> list[Path]:
    """Indexes, metrics and scores of all that is compared on whole sets."""
    pairs, paths = workspace.on_whole_sets(), workspace.paths
    indexes = dict.fromkeys(paths.index(d.name) for _, d in pairs)
    return [*indexes, *(f(m.name, d.name) for m, d in pairs for f in (paths.metrics, paths.scores))]


def _degradations(card: FigureCard, workspace: Workspace) -> list[Path]:
    """The degraded photo, and the measured change."""
    images = workspace.paths.degradations(workspace.figure_set.name)
    return [images, images.with_suffix(".csv")]


def _explain(card: FigureCard, workspace: Workspace) -> list[Path]:
    """Maps and features of every method."""
    return [workspace.paths.explain(m.name) for m in workspace.figure_methods(card)]


def _shown(workspace: Workspace) -> list[Any]:
    """The words of all that is compared."""
    pairs = workspace.on_whole_sets()
    methods = {m.name: (m.title, m.short, m.family, m.trained_on) for m, _ in pairs}
    return [methods, {d.name: (d.title, d.short, d.labels.origin) for _, d in pairs}]


def main_variant(workspace: Workspace) -> TrainConfig:
    """The training config of the scale's first variant."""
    return workspace.config.variant(next(iter(workspace.config.variants)))


KINDS: dict[str, Kind] = {
    "summary": Kind(_compared, settings=_shown),
    "types": Kind(lambda c, w: typed_files(w), settings=_shown),
    "wins": Kind(_compared, settings=_shown),
    "critical_difference": Kind(_compared, settings=_shown),
    "reported": Kind(lambda c, w: [w.paths.results], settings=_shown),
    "score_vs_intensity": Kind(lambda c, w: [w.paths.intensity(m.name) for m in w.figure_methods(c)], methods=1),
    "score_vs_size": Kind(lambda c, w: [w.paths.sizes(m.name) for m in w.figure_methods(c)], methods=1),
    "gmad": Kind(_gmad, methods=2, settings=lambda w: [w.gmad_set.labels, w.config.gmad_levels]),
    "overview": Kind(lambda c, w: [], settings=lambda w: main_variant(w).model_dump()),
    "degradation_levels": Kind(_degradations),
    "degradation_sheet": Kind(_degradations, group=True),
    "gradcam": Kind(_explain, methods=1),
    "embeddings": Kind(_explain, methods=1),
    "training": Kind(_training, methods=1),
}


def module(card: FigureCard) -> str:
    """The module that draws a figure. Raises CardError for an unknown kind, or a card that lacks what it needs."""
    if card.kind not in KINDS:
        raise CardError(f"{card.path}: kind: no kind of figure is called {card.kind!r}; kinds: {', '.join(KINDS)}")
    kind = KINDS[card.kind]
    if len(card.methods) < kind.methods:
        raise CardError(f"{card.path}: methods: name at least {'two methods' if kind.methods > 1 else 'one method'}")
    if kind.group != (card.group is not None):
        needed = "needs a degradation group" if kind.group else f"has no meaning for {card.kind}"
        raise CardError(f"{card.path}: group: {needed}")
    return f"qualiclip.bench.figures.{card.kind}"


def inputs(card: FigureCard, workspace: Workspace) -> list[Path]:
    """The files that a figure is drawn from. Raises CardError for a method without a card."""
    workspace.figure_methods(card)
    return KINDS[card.kind].inputs(card, workspace)


def words_digest(card: FigureCard, workspace: Workspace) -> str:
    """Digest of the words and settings of a figure."""
    methods = [(m.title, m.higher_better) for m in workspace.figure_methods(card)]
    return digest([card.model_dump(), methods, KINDS[card.kind].settings(workspace), workspace.config.banner])
