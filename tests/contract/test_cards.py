"""The contract of every card found, and of every method that runs without downloads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from qualiclip.bench import tables
from qualiclip.bench.cards import DatasetCard, FigureCard, MethodCard, ScaleConfig, TableCard, read_card
from qualiclip.bench.methods import Batch, create
from qualiclip.bench.workspace import DATASETS, FIGURES, METHODS, TABLES, Workspace
from qualiclip.images import SUFFIXES
from tests.conftest import ROOT

MODELS = {DATASETS: DatasetCard, METHODS: MethodCard, TABLES: TableCard, FIGURES: FigureCard}
CARDS = [(model, path) for folder, model in MODELS.items() for path in sorted((ROOT / folder).glob("*.yaml"))]
SCALES = sorted(p.stem for p in (ROOT / "workflow/config").glob("*.yaml"))


def cards(model) -> list[Path]:
    return [path for m, path in CARDS if m is model]


@pytest.mark.parametrize(("model", "path"), CARDS, ids=[p.stem for _, p in CARDS])
def test_every_card_is_valid(model, path):
    assert read_card(model, path).title


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_valid(scale, at_root):
    space = Workspace.load({"scale": scale})
    assert space.methods() and space.datasets()
    for table in space.all_tables.values():
        space.table_inputs(table)
    for figure in space.figures():
        space.figure_inputs(figure)


@pytest.mark.parametrize("path", cards(DatasetCard), ids=lambda p: p.stem)
def test_labels_that_are_no_human_opinions_say_so(path):
    card = read_card(DatasetCard, path)
    if card.make and card.labels:
        assert not card.human
        assert "no human opinions" in tables.labels_note([card])[0]


@pytest.mark.parametrize("path", cards(MethodCard), ids=lambda p: p.stem)
def test_methods(path, photos):
    """A method that needs no download gives finite scores, in its range, one an image, the same twice."""
    card = read_card(MethodCard, path)
    if not card.module or "mini" not in card.scales:
        pytest.skip("needs weights, a checkpoint, or runs elsewhere")
    method = create(card)
    method.load("cpu")
    file = next(p for p in (ROOT / "tests").rglob("*") if p.suffix in {*SUFFIXES, ".py"})
    batch = Batch(photos[:3], ["a.png", "b.png", "c.png"], [file] * 3)
    scores = method.score(batch)
    assert scores.shape == (3,) and torch.isfinite(scores).all()
    low, high = card.range
    assert low is None or (scores >= low).all()
    assert high is None or (scores <= high).all()
    assert torch.equal(scores, method.score(batch))


def test_pyiqa_knows_every_card_of_its_metrics():
    import pyiqa

    known = pyiqa.list_models()
    for path in cards(MethodCard):
        card = read_card(MethodCard, path)
        if card.pyiqa:
            assert card.pyiqa in known, path
            lower = pyiqa.api_helpers.DEFAULT_CONFIGS[card.pyiqa].get("lower_better", False)
            assert card.higher_better is not lower, f"{path}: the direction is not pyiqa's"


@pytest.mark.parametrize("model", [*MODELS.values(), ScaleConfig], ids=lambda m: m.__name__)
def test_schemas_are_those_of_the_code(model):
    file = ROOT / "workflow/schemas" / f"{model.__name__}.json"
    remedy = "run `python -m qualiclip.bench.schemas`"
    assert file.is_file(), remedy
    assert json.loads(file.read_text()) == model.model_json_schema(), remedy
