"""Cards made in a test, and those of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qualiclip.bench.cards.base import METHODS, read_card, read_cards
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.table import TableCard
from tests.support.commands import ROOT

BASELINES = ROOT / METHODS
SOURCES = {"pyiqa", "module", "variant", "scores", "rule", "not_run"}


def method_card(name: str = "m", **keys: Any) -> MethodCard:
    """A method whose higher score is better; without another source a metric of pyiqa of this name."""
    base = {"title": name.upper(), "family": "opinion-unaware", "higher_better": True, "citation": "", "license": ""}
    base |= {} if SOURCES & set(keys) else {"pyiqa": name}
    return MethodCard(**{"name": name, "path": Path(f"{name}.yaml"), **base, **keys})


def dataset_card(count: int | None = None, labels: dict[str, Any] | None = None, **keys: Any) -> DatasetCard:
    """"My set", whose labels lie between 0 and 1. labels: changes of their part."""
    base = {"title": "My set", "family": "authentic", "citation": "", "license": "", "folder": "x"}
    base |= {"images": {"count": count}, "labels": {"file": "x", "range": (0, 1)} | (labels or {})}
    return DatasetCard(**{"name": "myset", "path": Path("myset.yaml"), **base, **keys})


def table_card(**keys: Any) -> TableCard:
    """A table of correlations."""
    base = {"title": "t", "caption": "50% of it", "rows": {"names": []}, "columns": {"names": []}}
    return TableCard(**{"name": "t", "path": Path("t.yaml"), **base, **keys})


def figure_card(kind: str, **keys: Any) -> FigureCard:
    return FigureCard(**{"name": "f", "path": Path("f.yaml"), "title": "t", "caption": "c", "kind": kind, **keys})


def baseline(name: str) -> MethodCard:
    """A method card of the repository."""
    return read_cards(MethodCard, BASELINES)[name]


def dataset(name: str) -> DatasetCard:
    """A dataset card of the repository."""
    return read_card(DatasetCard, ROOT / f"datasets/{name}.yaml")
