"""The check of scores that a method's author sends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.formats import read_index, write_csv
from qualiclip.bench.release.check import Finding, check, tables
from tests.support.cards import method_card


@pytest.fixture
def entry(run, tmp_path):
    """f(changes of the rows, keys of the card) -> what is found of an entry that follows the labels closely."""
    index = read_index(run.paths.index("myset"))
    good = pd.DataFrame({"image": index["image"], "score": index["mos"] + 0.01})

    def found(rows=lambda t: t, **keys) -> Finding:
        rows(good.copy()).iloc[::-1].to_csv(tmp_path / "mine_myset.csv", index=False)
        card = method_card("mine", scores="mine_{dataset}.csv", path=Path(tmp_path / "mine.yaml"), **keys)
        run.all_methods["mine"] = card
        return check(card, run.all_datasets["myset"], run)

    return found


def test_a_good_entry_and_its_table(run, entry):
    found = entry(range=(0, 2), dataset_versions={"myset": 1})
    assert (found.problems, found.notes, found.images, found.scored) == ([], [], 60, 60)
    assert found.srcc[0] == pytest.approx(1) and found.row()["Result"] == "good"
    (text,) = tables(run.all_methods["mine"], run)
    assert "| MINE " in text and "| B " in text


@pytest.mark.parametrize(
    ("rows", "keys", "problem"),
    [
        (lambda t: t[1:], {}, "1 of 60 images have no finite score"),
        (lambda t: t.replace({"score": {t["score"][3]: np.inf}}), {}, "1 of 60 images have no finite score"),
        (lambda t: t.assign(score=1.5), {}, "all scores are the same"),
        (lambda t: t.assign(score=-t["score"]), {}, "higher_better should be false"),
        (lambda t: t, {"higher_better": False}, "higher_better should be true"),
        (lambda t: t, {"range": (0, 0.5)}, "scores outside of the card's range"),
        (lambda t: t, {"dataset_versions": {"myset": 2}}, "of myset version 2, myset.yaml is version 1"),
        (lambda t: pd.concat([t, t[:1]]), {}, "0.png occurs twice"),
        (lambda t: t.rename(columns={"score": "quality"}), {}, "no column 'score'"),
    ],
)
def test_what_is_wrong_is_said(entry, rows, keys, problem):
    found = entry(rows, **keys)
    assert len(found.problems) == 1 and problem in found.problems[0]


def test_what_is_not_wrong_is_noted(entry):
    more = entry(lambda t: pd.concat([t, pd.DataFrame({"image": ["t1.png"], "score": [1.0]})]))
    assert not more.problems and more.notes == ["1 rows of mine_myset.csv name no image of the set"]


def test_without_labels_the_direction_is_not_known(run, entry):
    index = read_index(run.paths.index("myset"))
    write_csv(index.drop(columns="mos"), run.paths.index("myset"))
    found = entry()
    assert not found.problems and found.notes == ["no SRCC: its labels are not here"] and np.isnan(found.srcc[0])


def test_a_set_without_a_file_is_a_row_that_is_not_run(run, tmp_path):
    card = method_card("mine", scores="mine_{dataset}.csv", path=tmp_path / "mine.yaml")
    run.all_methods["mine"] = card
    found = check(card, run.all_datasets["myset"], run)
    assert not found.problems and "there is no" in found.notes[0]
    assert any("not run" in text for text in tables(card, run))
