"""The generated files of docs/ and workflow/schemas/ are up to date, and the schemas accept every shipped card."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from qualiclip.bench.cards import schemas
from qualiclip.bench.cards.base import DATASETS, FIGURES, METHODS, SCALES, TABLES, read_yaml
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.plan import scales
from qualiclip.bench.report import docs
from qualiclip.bench.workspace import Workspace

ROOT = Path(docs.__file__).resolve().parents[3]
FOLDERS = {
    "MethodCard": METHODS,
    "DatasetCard": DATASETS,
    "TableCard": TABLES,
    "FigureCard": FIGURES,
    "ScaleConfig": SCALES,
}
CARDS = [
    (model, path)
    for model, folder in FOLDERS.items()
    for path in sorted([*(ROOT / folder).glob("*.yaml"), *(ROOT / folder).glob("*/*.yaml")])
]


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", schemas.pages(), ids=str)
def test_schemas_and_reference_are_those_of_the_models(path):
    assert path.read_text(encoding="utf-8") == schemas.pages()[path], "run `make docs`"


def test_results_are_those_of_the_collected_runs():
    assert docs.PAGE.read_text(encoding="utf-8") == docs.page(), "run `make docs`"


def test_the_table_of_costs_is_of_the_methods_and_trainings_that_the_scales_have():
    """Its other rows are counted by Snakemake, which takes longer."""
    workspaces = [Workspace(load_config({"scale": scale})) for scale in scales.ORDER]
    text = scales.PAGE.read_text(encoding="utf-8")
    cells = {row: re.search(rf"^\| {row} \| (.*) \|$", text, re.MULTILINE)[1].split(" | ") for row in scales.ROWS}
    assert cells["methods in the tables"] == [str(sum(not m.repeat_of for m in w.methods())) for w in workspaces], (
        "run `make docs`"
    )
    trainings = [cell.partition(",")[0] for cell in cells["trainings"]]
    assert trainings == [str(len(w.variants())) for w in workspaces], "run `make docs`"


@pytest.mark.parametrize("model, path", CARDS, ids=lambda value: getattr(value, "stem", value))
def test_the_schema_accepts_every_card_and_refuses_a_typo(model, path):
    schema = json.loads((schemas.SCHEMAS / f"{model}.json").read_text())
    content = read_yaml(path)
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "no such key": 1}, schema)


def test_the_core_needs_no_package_of_an_extra():
    """`pip install .` brings what scoring and training need: they import nothing that only an extra installs."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    imported_as = {"scikit-image": "skimage", "scikit-learn": "sklearn"}
    extra = {name.split(">")[0].split("<")[0] for name in project["optional-dependencies"]["bench"]}
    # these come with torch and open_clip, as requirements of their own
    refused = {imported_as.get(n, n) for n in extra - {"setuptools", "huggingface_hub", "filelock", "pyyaml", "jinja2"}}
    modules = "qualiclip.cli, qualiclip.score, qualiclip.train, qualiclip.inference, qualiclip.degrade.sheet"
    code = f"import sys; sys.modules.update(dict.fromkeys({sorted(refused)!r})); import {modules}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
