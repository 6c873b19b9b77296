"""The contract of every card found, and of every method that runs without downloads."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from qualiclip.bench.cards.base import DATASETS, FIGURES, METHODS, TABLES, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.scale import ScaleConfig
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.load import create
from qualiclip.bench.score import per_split
from qualiclip.bench.tables import render
from qualiclip.bench.workspace import Workspace
from qualiclip.tensors import to_image
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
        assert "no human opinions" in render.labels_note([card])[0]


@pytest.mark.parametrize("path", cards(MethodCard), ids=lambda p: p.stem)
def test_methods(path, photos, checkpoint, tmp_path):
    """A method that needs no download gives finite scores, in its range, one an image, the same twice and alone."""
    card = read_card(MethodCard, path)
    if not (card.module or card.variant or card.pyiqa) or card.weights or "mini" not in card.scales or card.features:
        pytest.skip("needs weights, or its scores come from elsewhere, or from a model a split")
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for x, file in zip(photos, files, strict=False):
        to_image(x).save(file)
    names = [f.name for f in files]
    labels = pd.DataFrame({"image": names, "mos": [1.0, 2.0, 3.0]}) if card.labels else None
    method = create(card, checkpoint, fitted=tmp_path / "fitted", labels=labels)
    if card.fit:
        method.fit(files, tmp_path / "fitted", "cpu")
    method.load("cpu")
    batch = Batch(photos[:3], names, files)
    scores = method.score(batch)
    assert scores.shape == (3,) and torch.isfinite(scores).all()
    low, high = card.range
    assert low is None or (scores >= low).all()
    assert high is None or (scores <= high).all()
    assert torch.equal(scores, method.score(batch))
    assert scores[1].item() == pytest.approx(method.score(Batch(photos[1:2], names[1:2], files[1:2])).item(), abs=1e-5)


TRAINED_WITHIN = [p for p in cards(MethodCard) if read_card(MethodCard, p).features]


@pytest.mark.parametrize("path", TRAINED_WITHIN, ids=lambda p: p.stem)
def test_methods_trained_within_splits(path, checkpoint):
    """They learn a linear label, give finite scores in their range, the same twice, and say what they have learned."""
    card = read_card(MethodCard, path)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 64)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    mos = x[:, 0]
    mos = (mos - mos.min()) / np.ptp(mos)

    def trained() -> per_split.Within:
        method = per_split.create(card, checkpoint)
        parts = per_split.Part(x[:40], mos[:40]), per_split.Part(x[40:50], mos[40:50])
        method.fit([per_split.Split(*parts), per_split.Split(parts[0], per_split.Part(x[:0], mos[:0]))], "cpu")
        return method

    method, again = trained(), trained()
    for k in range(2):
        scores = method.predict(k, x[50:])
        assert scores.shape == (10,) and np.isfinite(scores).all()
        assert np.array_equal(scores, again.predict(k, x[50:]))
        assert np.corrcoef(method.predict(k, x[:40]), mos[:40])[0, 1] > 0.3, "it has learned nothing"
        low, high = card.range
        assert low is None or (scores >= low).all()
        assert high is None or (scores <= high).all()
    learned = method.learned()
    assert learned and all(len(v) == 2 and v.dtype.kind == "f" for v in learned.values())


def test_pyiqa_knows_every_card_of_its_metrics():
    """Name, direction and range are pyiqa's; a bound that it calls approximate (~) is open here."""
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    for path in cards(MethodCard):
        card = read_card(MethodCard, path)
        if card.pyiqa:
            assert card.pyiqa in DEFAULT_CONFIGS, f"{path}: pyiqa has no such metric"
            theirs = DEFAULT_CONFIGS[card.pyiqa]
            assert theirs["metric_mode"] == "NR", f"{path}: it needs a reference"
            assert card.higher_better is not theirs.get("lower_better", False), f"{path}: the direction is not pyiqa's"
            bounds = [b.strip() for b in theirs["score_range"].split(",")]
            known = tuple(None if b.startswith("~") else float(b) for b in bounds)
            assert card.range == known, f"{path}: pyiqa's range is {theirs['score_range']}"


def test_qalign_has_what_it_imports():
    """pyiqa imports it only once 16 GB of weights are there, and declares not all that it takes."""
    importlib.import_module("pyiqa.archs.q_align.modeling_mplug_owl2")


def test_weights_of_cards_are_files_that_pyiqa_fetches():
    import pyiqa
    import timm
    import torchvision

    places = [*Path(pyiqa.__file__).parent.glob("archs/*.py"), *Path(torchvision.__file__).parent.glob("models/*.py")]
    text = "".join(p.read_text(encoding="utf-8") for p in places)
    for path in cards(MethodCard):
        card = read_card(MethodCard, path)
        for file in card.weights if card.pyiqa else []:
            store, _, name = file.partition("/")
            if store == "timm":
                model = name.removesuffix(".safetensors")
                assert timm.get_pretrained_cfg(model).hf_hub_id == f"timm/{model}", f"{path}: timm fetches no {file}"
            else:
                assert store == "pyiqa" and name in text, f"{path}: pyiqa fetches no {file}"


@pytest.mark.parametrize("path", cards(MethodCard), ids=lambda p: p.stem)
def test_what_needs_the_network_is_not_in_mini(path):
    card = read_card(MethodCard, path)
    if card.weights or not isinstance(card.scores, (str, type(None))):
        assert "mini" not in card.scales


def test_a_method_trained_on_opinions_says_on_which():
    """A card whose name or title names a dataset has seen it, and an opinion-unaware one has seen none."""
    for path in cards(MethodCard):
        card = read_card(MethodCard, path)
        if card.family == "opinion-unaware":
            assert not card.trained_on and not card.also_trained_on and not card.labels, path
        if card.family == "supervised":
            assert card.trained_on or card.also_trained_on or card.features, f"{path}: trained on what?"


@pytest.mark.parametrize("model", [*MODELS.values(), ScaleConfig], ids=lambda m: m.__name__)
def test_schemas_are_those_of_the_code(model):
    file = ROOT / "workflow/schemas" / f"{model.__name__}.json"
    remedy = "run `python -m qualiclip.bench.cards.schemas`"
    assert file.is_file(), remedy
    assert json.loads(file.read_text()) == model.model_json_schema(), remedy
