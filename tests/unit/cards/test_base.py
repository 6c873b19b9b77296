"""What all cards share: errors that name the file, the key and the remedy; and finding cards."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from qualiclip.bench.cards.base import CardError, load_function, parse, read_card, read_cards
from qualiclip.bench.cards.dataset import DatasetCard, Download, Labels, Splits
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.scale import ScaleConfig
from qualiclip.bench.cards.table import TableCard
from qualiclip.config import TrainConfig

METHOD = """
title: x
family: control
higher_better: false
citation: c
license: l
pyiqa: piqe
"""
DATASET = """
title: small
family: authentic
files: [{filename: small.zip, manual: by hand, extract: true}]
labels: {format: csv, file: labels.csv, range: [0, 5]}
images: {root: pics, count: 3}
citation: c
license: l
"""


@pytest.fixture
def card(tmp_path) -> Path:
    """The path of a valid method card."""
    path = tmp_path / "x.yaml"
    path.write_text(METHOD)
    return path


def test_a_misspelt_key_names_the_file_the_key_what_was_meant_and_the_allowed_keys(card):
    card.write_text(METHOD + "higer_better: true\n")
    meant = r"x\.yaml: unknown key 'higer_better'; did you mean 'higher_better'\?; allowed keys: .*higher_better"
    with pytest.raises(CardError, match=meant):
        read_card(MethodCard, card)


def test_a_key_that_resembles_none_names_the_allowed_keys(card):
    card.write_text(METHOD + "zzz: true\n")
    with pytest.raises(CardError, match=r"unknown key 'zzz'; allowed keys: .*higher_better"):
        read_card(MethodCard, card)


def test_a_nested_misspelt_key_names_the_keys_of_its_place(card):
    card.write_text(DATASET.replace("range:", "rnage: 1, range:"))
    meant = r"unknown key 'labels\.rnage'; did you mean 'range'\?; allowed keys: .*range"
    with pytest.raises(CardError, match=meant):
        read_card(DatasetCard, card)


def test_all_problems_of_a_card_are_reported(card):
    card.write_text(METHOD.replace("family: control", "family: none") + "lables: true\n")
    with pytest.raises(CardError) as e:
        read_card(MethodCard, card)
    lines = str(e.value).splitlines()
    assert len(lines) == 2 and all(line.startswith(f"{card}: ") for line in lines)


def renaming_models(model: type[BaseModel] = BaseModel) -> list[type[BaseModel]]:
    """All models of this suite that know former names of their keys."""
    ours = [m for m in model.__subclasses__() if m.__module__.startswith("qualiclip.") or m.__subclasses__()]
    return [m for s in ours for m in ([s] if vars(s).get("renamed") else []) + renaming_models(s)]


RENAMED = [(m, old, new) for m in renaming_models() for old, new in m.renamed.items()]


def test_the_models_that_had_other_keys_are_known():
    assert {m for m, _, _ in RENAMED} == {TrainConfig, ScaleConfig, MethodCard, TableCard, Download, Labels, Splits}


@pytest.mark.parametrize(("model", "old", "new"), RENAMED, ids=[f"{m.__name__}-{old}" for m, old, _ in RENAMED])
def test_a_former_key_names_its_present_one(model, old, new):
    assert new in model.model_fields and old not in model.model_fields
    with pytest.raises(CardError, match=rf"x\.yaml: unknown key '{old}'; it is now called '{new}'"):
        parse(model, "x.yaml", {old: 1})


@pytest.mark.parametrize(
    ("card_model", "text", "old", "new"),
    [
        (DatasetCard, DATASET.replace("extract: true", "extract: true, either: x"), "files.0.either", "alternative"),
        (DatasetCard, DATASET.replace("range:", "twice: drop, range:"), "labels.twice", "duplicates"),
        (DatasetCard, DATASET + "splits: {kind: seeded}\n", "splits.kind", "use"),
        (MethodCard, METHOD + "labels: true\n", "labels", "reads_labels"),
    ],
    ids=["file", "labels", "splits", "method"],
)
def test_a_former_key_inside_a_card_names_its_present_one(card, card_model, text, old, new):
    card.write_text(text)
    with pytest.raises(CardError, match=rf"unknown key '{old}'; it is now called '{new}'"):
        read_card(card_model, card)


@pytest.mark.parametrize("key", ["name", "path"])
def test_the_name_of_a_card_is_that_of_its_file(card, key):
    card.write_text(METHOD + f"{key}: y\n")
    with pytest.raises(CardError, match=rf"unknown key '{key}'; the file's own name is the name of the card"):
        read_card(MethodCard, card)
    assert read_card(MethodCard, renamed(card, "y-1_+.yaml")).name == "y-1_+"
    with pytest.raises(CardError, match="lower case letters"):
        read_card(MethodCard, renamed(card, "Y.yaml"))


def renamed(card: Path, name: str) -> Path:
    """A valid copy of a card under another name."""
    copy = card.parent / name
    copy.write_text(METHOD)
    return copy


@pytest.mark.parametrize("text", ["- a list", "a: [", "\x00"], ids=["no keys", "no YAML", "no text"])
def test_a_file_that_is_no_card_is_named(card, text):
    card.write_text(text)
    with pytest.raises(CardError, match=r"x\.yaml"):
        read_card(MethodCard, card)


def test_cards_lie_in_a_folder_and_its_subfolders(card):
    (card.parent / "more/deep").mkdir(parents=True)
    renamed(card, "more/y.yaml")
    renamed(card, "more/deep/z.yaml")
    assert list(read_cards(MethodCard, card.parent)) == ["x", "y"]
    renamed(card, "more/x.yaml")
    with pytest.raises(CardError, match=r"x\.yaml: another card of this name is .*x\.yaml"):
        read_cards(MethodCard, card.parent)


def test_cards_are_those_of_the_working_directory(card, monkeypatch):
    """A rehearsal reads the cards of two trees in one process."""
    for name in ("one", "two"):
        (card.parent / name / "cards").mkdir(parents=True)
        renamed(card, f"{name}/cards/{name}.yaml")
        monkeypatch.chdir(card.parent / name)
        assert list(read_cards(MethodCard, Path("cards"))) == [name]


def test_code_beside_a_card_is_loaded(tmp_path):
    (tmp_path / "mine.py").write_text("def two():\n    return 2\n")
    assert load_function("mine.py:two", tmp_path)() == 2
    with pytest.raises(CardError, match=r"mine\.py: defines no 'three'"):
        load_function("mine.py:three", tmp_path)
    with pytest.raises(CardError, match=r"yours\.py: no such Python file"):
        load_function("yours.py:two", tmp_path)
