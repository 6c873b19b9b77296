"""Indexes, score files, features files and metrics files: what they hold comes back, damage is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench import formats
from qualiclip.bench.formats import read_index, read_metrics, read_scores, write_csv
from qualiclip.io import DamagedFile
from tests.support.cards import dataset_card, method_card

INDEX = "image,width,height,mos\na.png,4,3,1.0\nb.png,4,3,2.0\n"
SCORES = "image,score,error\na.png,0.25,\nb.png,,too dark\n"
IMAGES = pd.DataFrame({"image": ["a.png", "b.png"]})


def test_complete_files_are_read(tmp_path):
    (tmp_path / "i.csv").write_text(INDEX)
    (tmp_path / "s.csv").write_text(SCORES)
    index = read_index(tmp_path / "i.csv")
    scores = read_scores(tmp_path / "s.csv", index)
    assert index["mos"].tolist() == [1, 2] and scores["error"].tolist() == ["", "too dark"]
    assert scores["score"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "last line is cut off"),
        (INDEX[:-1], "last line is cut off"),
        (INDEX[:-8] + "\n", "rows without width"),
        (INDEX.replace("image", "name"), "no column 'image'"),
        (INDEX.replace("width", "w"), "no column 'width'"),
        (INDEX.replace("b.png", "a.png"), r"a\.png occurs twice"),
        (INDEX.replace("1.0", '"1.0'), "EOF inside string"),
    ],
)
def test_an_index_that_is_not_complete(tmp_path, text, why):
    (tmp_path / "i.csv").write_text(text)
    with pytest.raises(DamagedFile, match=rf"i\.csv: not complete \(.*{why}.*remove it and run the same command again"):
        read_index(tmp_path / "i.csv", sizes=True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (SCORES[:-1], "last line is cut off"),
        (SCORES.replace("error", "reason"), "columns image, score, reason"),
        (SCORES.replace("0.25", "x"), "a score is not a number"),
        (SCORES[: SCORES.index("b.png")], "not one row per image"),
        (SCORES.replace("b.png", "c.png"), "not one row per image"),
    ],
)
def test_a_score_file_that_is_not_that_of_the_index(tmp_path, text, why):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DamagedFile, match=rf"s\.csv: .*{why}.*remove it"):
        read_scores(tmp_path / "s.csv", IMAGES)


def test_an_index_of_labels_alone_has_no_images(tmp_path):
    (tmp_path / "i.csv").write_text("image,mos\na.png,1.0\n")
    index = read_index(tmp_path / "i.csv")
    assert not formats.has_images(index)
    with pytest.raises(DamagedFile, match="no column 'width'"):
        read_index(tmp_path / "i.csv", sizes=True)
    (tmp_path / "i.csv").write_text(INDEX)
    assert formats.has_images(read_index(tmp_path / "i.csv"))


# Round trips.


def test_scores_come_back_to_the_last_bit(tmp_path):
    names = ["NA", "nan", "a,b.png", 'quoted".png', "None", "1.0"]
    index = pd.DataFrame({"image": names})
    scores = index.assign(score=[0.1 + 0.2, 1 / 3, np.nan, 1e-300, -0.0, 7], error=["", "", "None: x, y", "", "", ""])
    write_csv(scores, tmp_path / "s.csv")
    pd.testing.assert_frame_equal(read_scores(tmp_path / "s.csv", index), scores, check_exact=True)


def test_scores_of_a_model_per_split_come_back(tmp_path):
    index = IMAGES.assign(split_00=["test", "train"], split_01=["train", "test"])
    scores = formats.unscored(index, np.array(["", ""])).assign(split_00=[1 / 3, np.nan], split_01=[np.nan, 0.1 + 0.2])
    write_csv(scores, tmp_path / "s.csv")
    pd.testing.assert_frame_equal(read_scores(tmp_path / "s.csv", index), scores, check_exact=True)
    with pytest.raises(DamagedFile, match="columns image, score, error, split_00, split_01"):
        read_scores(tmp_path / "s.csv", index.drop(columns="split_01"))


def test_a_refusal_comes_back(tmp_path):
    reason = "its weights, at x.pth, are gone: 404"
    table = formats.refused_scores(IMAGES, reason)
    write_csv(table, tmp_path / "s.csv")
    read = read_scores(tmp_path / "s.csv", IMAGES)
    assert formats.refusal(read) == reason and read["score"].isna().all() and (read["error"] == "").all()
    assert list(read) == ["image", "score", "error", "reason"] and set(read["reason"]) == {reason}
    write_csv(formats.refused_metrics(reason), tmp_path / "m.csv")
    metrics = read_metrics(tmp_path / "m.csv")
    assert len(metrics) == 1 and metrics["reason"][0] == reason and np.isnan(metrics["value"][0])


def test_a_method_that_ran_is_not_refused(tmp_path):
    (tmp_path / "s.csv").write_text(SCORES)
    assert formats.refusal(read_scores(tmp_path / "s.csv")) == ""
    assert formats.refusal(pd.DataFrame(columns=["image", "score", "error", "reason"])) == ""


def test_metrics_come_back_to_the_last_bit(tmp_path):
    rows = [("all", "srcc", 0.1 + 0.2, 12, ""), ("split_00", "plcc", np.nan, 3, ""), ("official", "krcc", 1 / 3, 5, "")]
    table = pd.DataFrame(rows, columns=formats.METRICS)
    write_csv(table, tmp_path / "m.csv")
    pd.testing.assert_frame_equal(read_metrics(tmp_path / "m.csv"), table, check_exact=True)


def test_features_come_back_with_the_reason(tmp_path):
    features = np.array([[0.5, np.nan], [1, 2]], np.float32)
    arrays = {"image": IMAGES["image"].to_numpy(str), "features": features, "error": np.array(["", "bad"])}
    np.savez(tmp_path / "f.npz", **arrays, reason=np.array("no GPU"))
    read, error, reason = formats.read_features(tmp_path / "f.npz", IMAGES)
    assert np.array_equal(read, features, equal_nan=True) and error.tolist() == ["", "bad"] and reason == "no GPU"
    with pytest.raises(ValueError, match="not one row per image of the index"):
        formats.read_features(tmp_path / "f.npz", IMAGES.iloc[::-1])


# Parts and directions.


def test_the_parts_of_an_index():
    index = IMAGES.assign(split_00=["test", "train"], split_official=["val", "test"])
    parts = {name: mask.tolist() for name, mask in formats.test_parts(index).items()}
    assert parts == {"all": [True, True], "split_00": [True, False], "official": [False, True]}


def test_higher_is_better_whatever_the_cards_say():
    values = pd.Series([1.0, np.nan, 3.0])
    assert formats.oriented(values, method_card())[2] == 3
    turned = formats.oriented(values, method_card(higher_better=False))
    assert turned[0] == -1 and np.isnan(turned[1])
    assert formats.oriented(values, dataset_card(labels={"higher_better": False}).labels)[2] == -3


def test_the_scores_of_a_part_are_those_of_its_own_model():
    scores = IMAGES.assign(score=[1.0, 2.0], error="")
    lower = method_card(higher_better=False)
    assert formats.scores_of_part(scores, "split_00", lower).tolist() == [-1, -2]
    per_split = scores.assign(score=np.nan, split_00=[3.0, np.nan], split_official=[np.nan, 4.0])
    assert formats.scores_of_part(per_split, "split_00", method_card())[0] == 3
    assert formats.scores_of_part(per_split, "official", method_card())[1] == 4
    assert np.isnan(formats.scores_of_part(per_split, "all", method_card())).all()


def test_failed_rows_are_refused_unless_allowed():
    table = pd.DataFrame({"image": ["a", "b"], "score": [1.0, np.nan], "error": ["", "too dark"]})
    with pytest.raises(ValueError, match=r"1 of 2 images have no score \(b: too dark\).*allow_errors=true"):
        formats.check_scores(table, table[["image"]], Path("s.csv"), allow_errors=False)
    formats.check_scores(table, table[["image"]], Path("s.csv"), allow_errors=True)
