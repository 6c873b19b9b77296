"""The card of a table (workflow/tables/<id>.yaml)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from qualiclip.bench.cards.base import Card, Strict
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard

Metric = Literal["srcc", "plcc", "plcc_logistic", "krcc", "rmse"]


class Select(Strict):
    """Cards selected by name or by family; a card that matches either is selected."""

    names: list[str] | None = Field(None, description="cards by name")
    family: list[str] | None = Field(None, description="all cards of these families")

    def matches(self, card: DatasetCard | MethodCard) -> bool:
        """Whether the card is selected."""
        names = self.names or []
        repeated = isinstance(card, MethodCard) and card.repeat_of in names
        return card.name in names or repeated or card.family in (self.family or [])


class TableCard(Card):
    """A table: its rows (methods), its columns (datasets and metrics), and its notes."""

    renamed: ClassVar = {"pairs": "training_sets", "empty": "empty_note"}

    version: int = Field(1, ge=1, description="raised when its numbers mean something else; printed with the protocol")
    scales: list[str] = Field(["mini", "scratch", "paper"], description="scales that make it")
    order: int = Field(50, description="its place in the report: the smallest number first")
    kind: str = Field("correlations", description="a module of qualiclip/bench/tables, see tables/kinds.py")
    caption: str = Field(description="printed below the title; {families}: the families of the methods that are there")
    rows: Select | None = Field(None, description="methods")
    columns: Select | None = Field(None, description="datasets")
    training_sets: Literal["include", "only", "exclude"] = Field(
        "include",
        description="results of a method on sets that it was trained on: kept, the only ones kept, or left out",
    )
    metrics: list[Metric] = Field(["srcc", "plcc_logistic"], description="columns of each dataset")
    statistic: Literal["whole", "median", "official"] = Field(
        "whole", description="whole set, median over the test parts, or the official test part"
    )
    within_group: bool = Field(False, description="also the mean SRCC within the groups of a set")
    full_model: list[str] = Field(
        [], description="ablation: what its rows are compared with; the first of these methods that the run has"
    )
    reported: bool = Field(False, description="also our values beside those of workflow/reported")
    remarks: dict[str, str] = Field(
        {}, description="'method/dataset', by card or reported name, or 'method': why a value is off, printed beside it"
    )
    empty_note: str = Field("No method of this scale belongs here.", description="printed for a table without rows")

    @model_validator(mode="after")
    def _selects(self) -> TableCard:
        if self.kind == "correlations" and not (self.rows and self.columns):
            raise ValueError("a table of correlations needs rows and columns")
        if self.kind == "ablation" and not (self.rows and self.columns and self.full_model):
            raise ValueError("a table of an ablation needs rows, columns and full_model")
        if self.kind == "efficiency" and not self.rows:
            raise ValueError("a table of efficiency needs rows")
        return self
