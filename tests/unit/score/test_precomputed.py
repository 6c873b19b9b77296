"""Scores that somebody else computed: matched by name, checked, or said where they belong."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import spearmanr

from qualiclip.bench import provenance
from qualiclip.bench.cards.base import read_card, read_cards
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.data import index
from qualiclip.bench.formats import oriented, read_index, read_scores, refusal
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.score import precomputed
from tests.support.cards import BASELINES
from tests.support.published import opinions

CARD = """
title: theirs
family: supervised
higher_better: true
citation: c
license: l
scores:
  store: store
  url: http://127.0.0.1:9/nowhere
  files:
    small: {scores: a+b.csv, names: names.csv}
  score: Q
  mos: [truth, mos]
"""


@pytest.fixture
def theirs(small) -> Path:
    """Precomputed scores of the 11 images: in another order and case, below the mirror."""
    (small / "theirs.yaml").write_text(CARD)
    (small / "mirror/store").mkdir(parents=True)
    names = pd.DataFrame(
        {"name": [f"{i}.PNG" for i in range(10, -1, -1)], "mos": [float(i % 5) for i in range(10, -1, -1)]}
    )
    names.to_csv(small / "mirror/store/names.csv", index=False)
    scores = pd.DataFrame({"Q": names.index * 1.0, "truth": names["mos"] + 1e-6})
    scores.to_csv(small / "mirror/store/a+b.csv", index=False)
    return small


def bring(folder: Path, mirror: Path | None, dataset: str = "small", file: Path | None = None) -> pd.DataFrame:
    """The score file, from an index of labels alone."""
    card = read_card(MethodCard, folder / "theirs.yaml")
    labels = pd.read_csv(folder / "index.csv").drop(columns=["width", "height"])
    return precomputed.build(card, dataset, labels, mirror, file)


def job(monkeypatch, *arguments: str | Path) -> None:
    """Run the job with these arguments."""
    monkeypatch.setattr(sys, "argv", ["precomputed", *map(str, arguments)])
    precomputed.main()


def test_scores_come_by_name_without_the_images(theirs):
    out = bring(theirs, theirs / "mirror")
    assert out["score"].tolist() == [10.0 - i for i in range(11)] and (out["error"] == "").all()


def test_scores_that_cannot_be_had_say_where_to_put_them(theirs):
    with pytest.raises(NotRun, match=r"^a\+b\.csv could not be fetched .* DIR/store/a\+b\.csv"):
        bring(theirs, None)
    with pytest.raises(NotRun, match=r"^its scores of this dataset are not published"):
        bring(theirs, theirs / "mirror", dataset="another")


def test_scores_that_cannot_be_had_are_a_refused_score_file(theirs, monkeypatch):
    out = theirs / "scores.csv"
    job(monkeypatch, theirs / "theirs.yaml", theirs / "small.yaml", "--index", theirs / "index.csv", "--out", out)
    table = read_scores(out, read_index(theirs / "index.csv"))
    assert refusal(table).startswith("a+b.csv could not be fetched") and table["score"].isna().all()
    assert not provenance.read(out)["complete"]
    arguments = ["--index", theirs / "index.csv", "--mirror", theirs / "mirror", "--mirrored", "store/a+b.csv"]
    job(monkeypatch, theirs / "theirs.yaml", theirs / "small.yaml", *arguments, "--out", out)
    assert refusal(read_scores(out, read_index(theirs / "index.csv"))) == ""
    assert provenance.read(out)["complete"] and provenance.read(out)["mirrored"] == ["store/a+b.csv"]


def test_scores_whose_labels_disagree_are_refused(theirs):
    table = pd.read_csv(theirs / "mirror/store/a+b.csv")
    table.loc[4, "truth"] += 1
    table.to_csv(theirs / "mirror/store/a+b.csv", index=False)
    with pytest.raises(precomputed.PrecomputedError, match="row 4 has label"):
        bring(theirs, theirs / "mirror")


def test_an_image_without_a_score_is_an_error_row(theirs, tmp_path):
    pd.DataFrame({"image": ["x/0.png", "x/3.png"], "score": [1, 2]}).to_csv(tmp_path / "own.csv", index=False)
    table = pd.read_csv(theirs / "index.csv")
    table.assign(image="x/" + table["image"]).to_csv(theirs / "index.csv", index=False)
    out = bring(theirs, None, file=tmp_path / "own.csv")
    assert out["score"][3] == 2 and math.isnan(out["score"][1]) and out["error"][1] == "no score in own.csv"


def test_a_name_that_occurs_twice_is_refused(theirs, tmp_path):
    pd.DataFrame({"image": ["0.png", "0.PNG"], "score": [1, 2]}).to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(precomputed.PrecomputedError, match=r"own\.csv: 0\.png occurs twice"):
        bring(theirs, None, file=tmp_path / "own.csv")


def test_a_card_without_scores_needs_a_file(small, monkeypatch):
    """A rule of one's own that forgets its file."""
    arguments = ["--index", small / "index.csv", "--out", small / "scores.csv"]
    with pytest.raises(SystemExit, match=r"qualiclip.yaml: the card names no scores; give a file with --from"):
        job(monkeypatch, BASELINES / "qualiclip.yaml", small / "small.yaml", *arguments)


def test_labels_alone_make_an_index_for_precomputed_scores(small, monkeypatch):
    pd.read_csv(small / "index.csv")[["image", "mos"]].to_csv(small / "raw/small/labels.csv", index=False)
    arguments = ["index", str(small / "small.yaml"), "--raw", str(small / "raw"), "--out", str(small / "labels.csv")]
    monkeypatch.setattr(sys, "argv", [*arguments, "--labels-only"])
    index.main()
    table = pd.read_csv(small / "labels.csv")
    assert len(table) == 11 and "width" not in table and "split_09" in table


# Full-reference metrics on real opinion scores, which are grouped by reference.

META = {"kadid10k": ("KADID10k", 81, 10125), "pipal": ("PIPAL", 200, 23200), "tid2013": ("TID2013", 25, 3000)}
SRCC = {"precomputed-lpips": (0.822, 0.585, 0.745), "precomputed-deepwsd": (0.902, 0.633, 0.881)}


@pytest.mark.realdata
@pytest.mark.parametrize("name", META)
def test_full_reference_metrics_on_real_opinion_scores(name, mirror):
    """Every card of the family reads its scores by name, of all images, in the direction that it states."""
    title, references, images = META[name]
    labels = opinions(mirror, title).rename(columns={"dist_name": "image"})
    labels["ref"] = labels.filter(regex="^(ref|hq)_name$").squeeze().str.upper()
    assert (labels["ref"].nunique(), len(labels)) == (references, images)
    shuffled = labels.sample(frac=1, random_state=0).reset_index(drop=True)
    methods = [m for m in read_cards(MethodCard, BASELINES).values() if m.family == "full-reference"]
    assert len(methods) == 6
    for m in methods:
        scores = precomputed.build(m, name, shuffled, mirror, None)
        assert (scores["error"] == "").all()
        srcc = spearmanr(oriented(scores["score"], m), shuffled["mos"]).statistic
        assert srcc > 0.35, m.name
        if m.name in SRCC:
            assert srcc == pytest.approx(SRCC[m.name][list(META).index(name)], abs=1e-3)
