"""The card of a figure (workflow/figures/<id>.yaml)."""

from __future__ import annotations

from pydantic import Field

from qualiclip.bench.cards.base import Card


class FigureCard(Card):
    """A figure: what is drawn, and the methods it is drawn for."""

    order: int = Field(50, description="its place in the report: the smallest number first")
    kind: str = Field(description="a module of qualiclip/bench/figures, see figures/kinds.py")
    caption: str = Field(description="printed below the figure in the report")
    methods: list[str] = Field([], description="method cards; for gmad the two rivals")
    group: str | None = Field(None, description="degradation group of a degradation_sheet")
