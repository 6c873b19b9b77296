"""What stands in place of an output that could not be made, and that everything after it comes to its end."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.absence import NotHere, NotRun, leave_reason, reason_of, require
from qualiclip.bench.figures import draw
from qualiclip.bench.figures.style import TEXT
from qualiclip.bench.formats import read_features, read_index, read_metrics, read_scores
from qualiclip.bench.measure import photos
from qualiclip.bench.methods.load import create
from qualiclip.bench.metrics.correlate import metrics_of
from qualiclip.bench.report import sections
from qualiclip.bench.tables.render import render
from qualiclip.bench.tables.results import read_results
from qualiclip.bench.tables.standing import standing
from tests.support.cards import baseline, dataset_card, figure_card, method_card, table_card
from tests.support.results import noisy, with_results

GONE = 'Gone, 2nd: not here: gone.zip must be fetched by hand (the "form"); put it at DIR/gone/gone.zip.'


def test_a_reason_is_read_as_it_was_written(tmp_path):
    for text in (GONE, "Größe, “quoted”, 100%", "x"):
        leave_reason(tmp_path / "index.csv", text)
        assert reason_of(tmp_path / "index.csv") == text
    leave_reason(tmp_path / "a", "two\nlines")
    assert pd.read_csv(tmp_path / "a")["reason"].tolist() == ["two lines"]
    with pytest.raises(NotHere, match="two lines"):
        require(tmp_path / "none", tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"rea", b"reason,image\nx,y\n", b"\x89PNG\r\n", b"image,mos\n"])
def test_other_files_have_none(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    assert reason_of(tmp_path / "f") == "" == reason_of(tmp_path / "none")


JOBS = {  # module -> arguments, outputs
    "score.run": ("baselines/piqe.yaml DATASET --raw . --out OUT/s.csv", "s.csv"),
    "score.precomputed": ("baselines/precomputed-niqe.yaml DATASET --out OUT/s.csv", "s.csv"),
    "score.features": ("baselines/qualiclip.yaml DATASET --raw . --checkpoint OUT/c --out OUT/f.npz", "f.npz"),
    "score.per_split": (
        "baselines/probe-qualiclip.yaml DATASET --features OUT/f.npz --learned OUT/l.safetensors --out OUT/s.csv",
        "s.csv l.safetensors",
    ),
    "score.shards": ("baselines/piqe.yaml DATASET --shards OUT/1.csv OUT/2.csv --out OUT/s.csv", "s.csv"),
    "methods.fit": ("baselines/niqe-fit.yaml DATASET --raw . --out OUT/m", "m"),
    "train": ("DATASET --raw . --train {} --out OUT/c/weights.safetensors", "c/weights.safetensors c/train.json"),
    "measure.degradations": ("DATASET --raw . --count 2 --out OUT/d.npz", "d.npz d.csv"),
    "measure.intensity": ("baselines/piqe.yaml DATASET --raw . --count 2 --out OUT/i.csv", "i.csv"),
    "measure.sizes": ("baselines/piqe.yaml DATASET --raw . --count 2 --out OUT/i.csv", "i.csv"),
    "measure.explain": ("baselines/qualiclip.yaml DATASET --raw . --count 2 --checkpoint OUT --out OUT/e.npz", "e.npz"),
}


@pytest.mark.parametrize("module", JOBS)
def test_a_job_leaves_the_reason_in_place_of_each_output(module, at_root, tmp_path, monkeypatch):
    leave_reason(tmp_path / "index.csv", GONE)
    arguments, outputs = JOBS[module]
    words = arguments.replace("DATASET", "datasets/cviu.yaml").replace("OUT", str(tmp_path)).split()
    monkeypatch.setattr(sys, "argv", [module, *words, "--index", str(tmp_path / "index.csv")])
    importlib.import_module(f"qualiclip.bench.{module}").main()
    assert [reason_of(tmp_path / f) for f in outputs.split()] == [GONE] * len(outputs.split())


@pytest.mark.parametrize("method", ["qualiclip", "niqe-fit"])
def test_a_method_whose_training_or_fit_could_not_be_made_is_not_run(method, at_root, tmp_path):
    leave_reason(tmp_path / "c/weights.safetensors", GONE)
    leave_reason(tmp_path / "fitted", GONE)
    made = create(baseline(method), tmp_path / "c" if method == "qualiclip" else None, fitted=tmp_path / "fitted")
    for act in (lambda: made.load("cpu"), lambda: made.fit([], tmp_path / "out", "cpu")):
        with pytest.raises(NotRun, match="Gone, 2nd: not here"):
            act()


def test_readers_raise_the_reason(tmp_path):
    leave_reason(tmp_path / "x", GONE)
    for read in (read_index, read_scores, lambda p: read_features(p, None)):
        with pytest.raises(NotHere, match="Gone, 2nd: not here"):
            read(tmp_path / "x")
    with pytest.raises(NotHere):
        photos.choose(tmp_path / "x", tmp_path, dataset_card(), 3)


@pytest.fixture
def workspace(tmp_path, at_root):
    """Two methods on a set that is here, and on one that is not."""
    mos = np.random.default_rng(0).random(60)
    scored = [(method_card("a"), noisy(mos, 0.1)), (method_card("b"), noisy(mos, 0.5, 2))]
    workspace = with_results(tmp_path, scored, mos, dataset_card(60))
    gone = dataset_card(60, name="gone", title="Gone, 2nd")
    workspace.all_datasets["gone"] = gone
    index = workspace.paths.index("gone")
    leave_reason(index, GONE)
    for m, _ in scored:
        scores, metrics = workspace.paths.scores(m.name, "gone"), workspace.paths.metrics(m.name, "gone")
        leave_reason(scores, GONE)
        metrics_of(scores, index, m, gone).to_csv(metrics, index=False)
        assert read_metrics(metrics)["reason"].tolist() == [GONE]
    workspace.all_tables = {"t": table_card(rows={"family": ["opinion-unaware"]}, columns={"names": ["myset", "gone"]})}
    return workspace


def test_tables_name_the_set_and_keep_the_rest(workspace):
    card = workspace.all_tables["t"]
    table = render(card, workspace)
    assert table.values["Gone, 2nd SRCC"].tolist() == ["not here", "not here"] and GONE in table.notes
    alone = render(table_card(rows=card.rows.model_dump(), columns={"names": ["myset"]}), workspace)
    here = [c for c in table.values if "Gone" not in c]
    assert table.values[here].equals(alone.values) and here == list(alone.values)
    assert table.marks == alone.marks and table.notes[1:] == alone.notes
    assert not any("not run" in n for n in table.notes)
    nothing = render(table_card(rows=card.rows.model_dump(), columns={"names": ["gone"]}), workspace)
    assert nothing.values["Gone, 2nd SRCC"].tolist() == ["not here", "not here"] and GONE in nothing.markdown()


def test_the_table_of_datasets_has_its_row(workspace):
    pd.read_csv(workspace.paths.index("myset")).assign(width=4, height=3).to_csv(
        workspace.paths.index("myset"), index=False
    )
    table = render(table_card(kind="datasets"), workspace)
    assert table.values["Images"].tolist() == [60, "not here"] and GONE in table.notes


def test_the_leaderboard_has_a_column_and_means_of_what_is_here(workspace):
    results = read_results(workspace.paths, workspace.scored())
    table = render(workspace.all_tables["t"], workspace).results
    datasets, rows = sections.leaderboard(table, results, results, standing(results, workspace))
    assert [d.name for d in datasets] == ["gone", "myset"] and [r["title"] for r in rows] == ["A", "B"]
    assert [r["cells"][0]["text"] for r in rows] == ["not here"] * 2 and rows[0]["cells"][0]["refused"] == GONE
    assert rows[0]["mean"] == rows[0]["cells"][1]["value"]
    assert [s["title"] for s in sections.scatter(workspace, results)] == ["My set"]


@pytest.mark.parametrize(
    "kind", ["gmad", "degradation_levels", "gradcam", "embeddings", "score_vs_intensity", "score_vs_size", "training"]
)
def test_figures_say_why_they_are_not_drawn(workspace, kind, tmp_path):
    gone = dict.fromkeys(("gmad_set", "figure_set", "training_set"), "gone")
    workspace.config = workspace.config.model_copy(update=gone)
    workspace.all_methods |= {"v": method_card("v", variant="encoder")}
    paths, methods = workspace.paths, [] if kind == "degradation_levels" else ["a", "b"]
    if kind in ("gradcam", "embeddings", "training"):
        methods = ["v"]
    files = [paths.explain("v"), paths.intensity("a"), paths.sizes("a"), paths.degradations("gone")]
    for file in (*files, paths.train_record("encoder")):
        leave_reason(file, GONE)
    card = figure_card(kind, methods=methods)
    drawing = draw.draw(card, workspace)
    draw.write(drawing, card, tmp_path / "f.png")
    assert pd.read_csv(tmp_path / "f.csv")["not_drawn"].tolist() == [GONE]
    figure = drawing.paint(TEXT)
    plt.close(figure)
    words = " ".join(t.get_text() for t in figure.texts).replace("\n", " ")
    assert words.startswith(f"Not drawn. {GONE[:40]}") and Path(tmp_path / "f.pdf").is_file()
