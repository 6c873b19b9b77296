"""The kinds of tables. A kind is a module of this package with `build(card, workspace) -> Table`, and one line here.

A line names the kind, which is the name of its module, and the files that such a table is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.workspace import Pair, Workspace
from qualiclip.io import digest

REPORTED = Path("workflow/reported")


def timed_methods(card: TableCard, workspace: Workspace) -> list[MethodCard]:
    """Methods of a table of efficiency: those that this suite runs image by image."""
    return [m for m in workspace.table_methods(card) if m.timed]


def _correlations(card: TableCard, workspace: Workspace) -> list[Path]:
    """Indexes, metrics and scores of all pairs, and the reported values."""
    pairs, paths = workspace.table_pairs(card), workspace.paths
    indexes = {paths.index(d.name): None for _, d in pairs}
    reported = sorted(REPORTED.glob("*.csv")) if card.reported else []
    return [*indexes, *reported, *(f(m.name, d.name) for m, d in pairs for f in (paths.metrics, paths.scores))]


def typed_pairs(workspace: Workspace) -> list[Pair]:
    """Methods and sets whose SRCC within types of degradation is shown."""
    return [(m, d) for m, d in workspace.on_whole_sets() if d.has_types]


def groups_file(workspace: Workspace) -> Path:
    """The measured degradations: every type of ours in order, with its group."""
    return workspace.paths.degradations(workspace.figure_set.name).with_suffix(".csv")


def typed_files(workspace: Workspace) -> list[Path]:
    """Indexes, metrics and scores of `typed_pairs`, and what names the groups of types."""
    pairs, paths = typed_pairs(workspace), workspace.paths
    indexes = dict.fromkeys(paths.index(d.name) for _, d in pairs)
    groups = [groups_file(workspace)] if pairs else []
    return [*groups, *indexes, *(f(m.name, d.name) for m, d in pairs for f in (paths.metrics, paths.scores))]


KINDS: dict[str, Callable[[TableCard, Workspace], list[Path]]] = {
    "correlations": _correlations,
    "ablation": _correlations,
    "types": lambda card, w: typed_files(w),
    "datasets": lambda card, w: [w.paths.index(d.name) for d in w.table_datasets(card)],
    "degradations": lambda card, w: [w.paths.degradations(w.figure_set.name).with_suffix(".csv")],
    "released_weights": lambda card, w: [w.paths.released_weights],
    "efficiency": lambda card, w: [w.paths.efficiency(m.name) for m in timed_methods(card, w)],
}


def module(card: TableCard) -> str:
    """The module that builds a table. Raises CardError for an unknown kind."""
    if card.kind not in KINDS:
        raise CardError(f"{card.path}: kind: no kind of table is called {card.kind!r}; kinds: {', '.join(KINDS)}")
    return f"qualiclip.bench.tables.{card.kind}"


def inputs(card: TableCard, workspace: Workspace) -> list[Path]:
    """The files that a table is made of."""
    return KINDS[card.kind](card, workspace)


def words_digest(card: TableCard, workspace: Workspace) -> str:
    """Digest of the words of a table: its card, and titles, families and the like of what it shows."""
    methods = workspace.table_methods(card)
    shown = [c.model_dump(exclude={"license"}) for c in [*workspace.table_datasets(card), *methods]]
    variants = [workspace.config.variant(v).model_dump() for m in methods if (v := workspace.variant_of(m))]
    return digest([card.model_dump(), shown, variants, workspace.config.banner, workspace.config.efficiency_size])
