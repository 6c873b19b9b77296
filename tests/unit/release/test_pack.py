"""Packing a run: what a release holds, what stays behind, and that the same run gives the same bytes."""

from __future__ import annotations

import copy
import os
import zipfile
from dataclasses import replace

import pandas as pd
import pytest

from qualiclip.bench.absence import reason_of
from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.release import read_release
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.formats import NO_LABELS, read_index, read_metrics, read_scores, refusal
from qualiclip.bench.metrics.correlate import metrics_of
from qualiclip.bench.paths import sidecar
from qualiclip.bench.release.pack import NO_IMAGES, pack
from qualiclip.bench.release.unpack import unpack
from qualiclip.bench.tables.render import render
from tests.support.cards import dataset_card, figure_card, method_card


def released(run, tmp_path):
    """The archive of a run, and the workspace of what it unpacks to."""
    archive = tmp_path / "release.zip"
    pack(run, run.config, archive)
    rebuilt = copy.copy(run)
    rebuilt.paths = replace(run.paths, root=tmp_path / "rebuilt")
    unpack(archive, rebuilt.paths.root)
    return archive, rebuilt


def withheld(run):
    """The same run, of a set whose labels may not travel."""
    run.all_datasets = {"myset": dataset_card(60)}
    return run


def test_a_release_makes_the_same_tables(run, tmp_path):
    archive, rebuilt = released(run, tmp_path)
    for f in read_release(archive).members:
        assert (rebuilt.paths.root / f).read_bytes() == (run.paths.root / f).read_bytes()
    for m, d in run.scored():
        assert sidecar(rebuilt.paths.scores(m.name, d.name)).is_file()
    before, after = (render(w.all_tables["t"], w) for w in (run, rebuilt))
    assert before.marks and (before.markdown(), before.csv()) == (after.markdown(), after.csv())


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    archive, rebuilt = released(run, tmp_path)
    for file in run.paths.root.rglob("*.csv"):  # another time, another mode
        os.utime(file, (1e9, 1e9))
        file.chmod(0o600)
    pack(run, run.config, tmp_path / "second.zip")
    pack(rebuilt, rebuilt.config, tmp_path / "third.zip")  # a release of what was made from one
    assert archive.read_bytes() == (tmp_path / "second.zip").read_bytes() == (tmp_path / "third.zip").read_bytes()


def test_labels_stay_where_the_licence_keeps_them(run, tmp_path):
    labels = read_index(run.paths.index("myset"))["mos"].map(repr)
    archive, rebuilt = released(withheld(run), tmp_path)
    index = read_index(rebuilt.paths.index("myset"))
    assert "mos" not in index and list(index)[1:] == [f"split_{k:02d}" for k in range(10)]
    with zipfile.ZipFile(archive) as z:
        everything = "".join(z.read(n).decode() for n in z.namelist())
    assert not [label for label in labels if label in everything]
    assert refusal(read_scores(rebuilt.paths.scores("oracle", "myset"), index)) == NO_LABELS
    # the correlations are there, and nothing is tested
    before, after = (render(w.all_tables["t"], w) for w in (run, rebuilt))
    pd.testing.assert_frame_equal(before.values, after.values)
    assert before.marks and not after.marks and any(NO_LABELS in note for note in after.notes)


def test_what_comes_without_labels_has_no_correlation(run, tmp_path):
    _, rebuilt = released(withheld(run), tmp_path)
    scores, index = rebuilt.paths.scores("a", "myset"), rebuilt.paths.index("myset")
    metrics = metrics_of(scores, index, run.all_methods["a"], run.all_datasets["myset"])
    assert metrics["reason"].tolist() == [NO_LABELS]
    assert len(read_metrics(rebuilt.paths.metrics("a", "myset"))) > 1


def test_what_is_made_again_stays_behind(run, tmp_path):
    run.all_figures["reported"] = figure_card("reported", name="reported")  # drawn from results.csv
    run.paths.results.write_text("table\n")
    _, rebuilt = released(run, tmp_path)
    assert not rebuilt.paths.results.exists()
    run.paths.results.unlink()


def test_pixels_stay_behind_and_their_place_says_why(run, tmp_path):
    run.all_figures["g"] = figure_card("gradcam", name="g", methods=["a"])
    run.paths.explain("a").parent.mkdir()
    run.paths.explain("a").write_bytes(b"PK pixels")
    archive, rebuilt = released(run, tmp_path)
    assert reason_of(rebuilt.paths.explain("a")) == NO_IMAGES and b"pixels" not in archive.read_bytes()


def test_a_release_is_a_config(run, tmp_path):
    archive, _ = released(run, tmp_path)
    config = load_config({"release": str(archive), "results": str(tmp_path / "other")})
    assert (config.scale, config.datasets, config.methods) == ("paper", ["myset"], list(run.all_methods))
    assert config.variants == run.config.variants and config.results == tmp_path / "other"
    assert load_config({"release": str(archive), "methods": ["a"]}).methods == ["a"]
    with pytest.raises(CardError, match="a release of scale paper; leave scale=mini out"):
        load_config({"release": str(archive), "scale": "mini"})


def test_beside_a_release_only_cards_with_files_of_scores_are_added(run, tmp_path):
    archive, rebuilt = released(run, tmp_path)
    rebuilt.config = run.config.model_copy(update={"methods": ["a", "b"], "release": archive})
    rebuilt.release = read_release(archive)
    rebuilt.all_methods |= {"mine": method_card("mine", scores="{dataset}.csv"), "other": method_card("other")}
    assert [m.name for m in rebuilt.methods()] == ["a", "b", "mine"]
