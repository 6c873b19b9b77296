"""The contract of every card found, and of every method that runs without downloads."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from qualiclip.bench.captions import labels_note
from qualiclip.bench.cards import schemas
from qualiclip.bench.cards.base import DATASETS, FIGURES, METHODS, TABLES, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.cards.table import TableCard
from qualiclip.bench.figures import kinds as figure_kinds
from qualiclip.bench.methods.contract import Batch, Part, Split, SplitMethod
from qualiclip.bench.methods.load import create
from qualiclip.bench.score import per_split
from qualiclip.bench.tables import kinds as table_kinds
from qualiclip.bench.workspace import Workspace
from tests.support.commands import ROOT
from tests.support.photos import write_photos

MODELS = {DATASETS: DatasetCard, METHODS: MethodCard, TABLES: TableCard, FIGURES: FigureCard}
SCALES = sorted(p.stem for p in (ROOT / "workflow/config").glob("*.yaml"))


def paths(folder: Path) -> list[Path]:
    """Card files of a folder and its direct subfolders."""
    return sorted([*(ROOT / folder).glob("*.yaml"), *(ROOT / folder).glob("*/*.yaml")])


CARDS = [(model, path) for folder, model in MODELS.items() for path in paths(folder)]
METHOD_PATHS, DATASET_PATHS = paths(METHODS), paths(DATASETS)


@pytest.mark.parametrize(("model", "path"), CARDS, ids=[p.stem for _, p in CARDS])
def test_every_card_is_valid(model, path):
    assert read_card(model, path).title


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_valid(scale, at_root):
    workspace = Workspace(load_config({"scale": scale}))
    assert workspace.methods() and workspace.datasets()
    for table in workspace.all_tables.values():
        assert table_kinds.module(table)
        table_kinds.inputs(table, workspace)
    for figure in workspace.all_figures.values():
        assert figure_kinds.module(figure)
    for figure in workspace.figures():
        figure_kinds.inputs(figure, workspace)


@pytest.mark.parametrize("path", DATASET_PATHS, ids=lambda p: p.stem)
def test_labels_that_are_no_human_opinions_say_so(path):
    card = read_card(DatasetCard, path)
    if card.make and card.labels:
        assert not card.human
        assert "no human opinions" in labels_note([card])[0]


def needs_nothing(card: MethodCard) -> bool:
    """Whether a method scores photos by itself, without weights of others."""
    return card.timed and not card.weights and "mini" in card.scales


RUN_HERE = [p for p in METHOD_PATHS if needs_nothing(read_card(MethodCard, p))]


@pytest.mark.parametrize("path", RUN_HERE, ids=lambda p: p.stem)
def test_methods(path, photos, checkpoint, tmp_path):
    """A method that needs no download gives finite scores, in its range, one an image, the same twice and alone."""
    card = read_card(MethodCard, path)
    files = write_photos(photos[:3], tmp_path)
    names = [f.name for f in files]
    labels = pd.DataFrame({"image": names, "mos": [1.0, 2.0, 3.0]}) if card.reads_labels else None
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


PER_SPLIT = [p for p in METHOD_PATHS if read_card(MethodCard, p).features_of]


@pytest.mark.parametrize("path", PER_SPLIT, ids=lambda p: p.stem)
def test_methods_with_a_model_per_split(path, checkpoint):
    """They learn a linear label, give finite scores in their range, the same twice, and keep what they have learned."""
    card = read_card(MethodCard, path)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 64)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    mos = x[:, 0]
    mos = (mos - mos.min()) / np.ptp(mos)

    def trained() -> SplitMethod:
        method = per_split.create(card, checkpoint)
        parts = Part(x[:40], mos[:40]), Part(x[40:50], mos[40:50])
        method.fit([Split(*parts), Split(parts[0], Part(x[:0], mos[:0]))], "cpu")
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

    for path in METHOD_PATHS:
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
    for path in METHOD_PATHS:
        card = read_card(MethodCard, path)
        for file in card.weights if card.pyiqa else []:
            store, _, name = file.partition("/")
            if store == "timm":
                model = name.removesuffix(".safetensors")
                assert timm.get_pretrained_cfg(model).hf_hub_id == f"timm/{model}", f"{path}: timm fetches no {file}"
            else:
                assert store == "pyiqa" and name in text, f"{path}: pyiqa fetches no {file}"


@pytest.mark.parametrize("path", METHOD_PATHS, ids=lambda p: p.stem)
def test_what_needs_the_network_is_not_in_mini(path):
    card = read_card(MethodCard, path)
    if card.weights or not isinstance(card.scores, (str, type(None))):
        assert "mini" not in card.scales


def test_a_method_trained_on_opinions_says_on_which():
    """A card whose name or title names a dataset has seen it, and an opinion-unaware one has seen none."""
    for path in METHOD_PATHS:
        card = read_card(MethodCard, path)
        if card.family == "opinion-unaware":
            assert not card.trained_on and not card.also_trained_on and not card.reads_labels, path
        if card.family == "supervised":
            assert card.trained_on or card.also_trained_on or card.features_of, f"{path}: trained on what?"


@pytest.mark.parametrize("model", schemas.MODELS, ids=lambda m: m.__name__)
def test_schemas_are_those_of_the_code(model, at_root):
    file = schemas.SCHEMAS / f"{model.__name__}.json"
    remedy = "run `make docs`"
    assert file.is_file(), remedy
    assert json.loads(file.read_text()) == schemas.schema(model), remedy


def test_there_is_a_schema_for_every_model(at_root):
    assert {p.stem for p in schemas.SCHEMAS.iterdir()} == {m.__name__ for m in schemas.MODELS}
    assert set(MODELS.values()) < set(schemas.MODELS)
