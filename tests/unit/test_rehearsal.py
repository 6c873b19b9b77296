"""The parts of the rehearsal that take seconds: its archives and cards, and its Python."""

from __future__ import annotations

import subprocess
from contextlib import chdir
from pathlib import Path

import pytest

from qualiclip.bench.cards.base import DATASETS, METHODS, read_card, read_yaml
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard, PrecomputedScores
from qualiclip.bench.data import fetch, index
from qualiclip.bench.score import precomputed
from qualiclip.bench.workspace import Workspace
from tests.conftest import ROOT
from tests.rehearsal import __main__ as rehearsal
from tests.support import warm_python as quick
from tests.support.fake_releases import RELEASES, N


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The copy of the tree and the mirror, without weights."""
    root = tmp_path_factory.mktemp("rehearsal")
    with chdir(ROOT):
        rehearsal.prepare(Workspace.load({"scale": "paper"}), root / "tree", root / "mirror", root / "labels")
    return root


@pytest.mark.parametrize("name", sorted(RELEASES))
def test_an_archive_of_the_mirror_becomes_an_index(prepared, name):
    real = read_card(DatasetCard, ROOT / DATASETS / f"{name}.yaml")
    card = read_card(DatasetCard, prepared / f"tree/datasets/{name}.yaml")
    here = {f.filename: f.sha256 for f in card.files}
    assert all(here[f.filename] for f in real.files if f.sha256 and f.filename in here), "what was pinned stays so"
    assert card.labels == real.labels and card.images.root == real.images.root
    fetch.fetch(card, prepared / "raw", prepared / "mirror")
    table = index.build(card, prepared / "raw" / name)
    assert len(table) == N
    assert (table[["width", "height"]] == rehearsal.SIZE).all(axis=None)
    if real.labels:
        assert table["mos"].nunique() > 5
        columns = [c for c in table if c.startswith("split_")]
        assert columns and (table[columns] == "test").any().all()
    for path in sorted((ROOT / METHODS).glob("*.yaml")):
        method = read_card(MethodCard, path)
        if isinstance(method.scores, PrecomputedScores) and name in method.scores.files:
            scores = precomputed.build(method, name, table, prepared / "mirror", None)
            assert scores["score"].nunique() > 5 and not scores["error"].any()


def test_the_config_is_the_papers_but_for_sizes(prepared):
    real, ours, sizes = (
        read_yaml(p)
        for p in (ROOT / "workflow/config/paper.yaml", prepared / "tree/workflow/config/paper.yaml", rehearsal.SIZES)
    )
    sizes = sizes["config"]
    assert {k: v for k, v in ours.items() if k not in sizes} == {k: v for k, v in real.items() if k not in sizes}
    with chdir(prepared / "tree"):
        small = Workspace.load({"scale": "paper"})
        assert {small.config.variant(v).total_steps(N) for v in small.trained()} == {0, 1}
    with chdir(ROOT):
        assert small.trained() == Workspace.load({"scale": "paper"}).trained()


@pytest.fixture
def program(tmp_path):
    """The prepared `python`, at a server that has imported nothing."""
    code = "import sys; from pathlib import Path; from tests.support.warm_python import serve; serve(Path(sys.argv[1]))"
    with quick.started(tmp_path, "-c", code) as folder:
        yield folder / "python"


def test_its_python_runs_modules_as_python_does(program, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os, sys\n"
        "print(sys.argv[1:], os.getcwd(), os.environ['SAID'], __name__, sys.stdin.read())\n"
        "print('beside', file=sys.stderr)\n"
        "if sys.argv[1] == 'stop': sys.exit('stopped')\n"
        "if sys.argv[1] == 'raise': raise ValueError('raised')\n"
        "if sys.argv[1] == 'kill': os.kill(os.getpid(), 9)\n"
    )

    def run(word: str) -> subprocess.CompletedProcess[str]:
        command = [program, "-m", "mine", word]
        return subprocess.run(
            command, cwd=tmp_path, env={"SAID": "word"}, input="in", capture_output=True, text=True, check=False
        )

    good = run("go")
    assert (good.returncode, good.stderr) == (0, "beside\n")
    assert good.stdout == f"['go'] {tmp_path} word __main__ in\n"
    assert run("stop").returncode == 1 and "stopped" in run("stop").stderr
    assert run("raise").returncode == 1 and "ValueError: raised" in run("raise").stderr
    assert run("kill").returncode == 137
    assert (tmp_path / "python.tsv").read_text().count("mine\t") == 5, "CPU seconds of each but the killed"
