"""Splits that are seeded, read from files, or read from a column of the labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.cards.dataset import SplitColumn, SplitFiles, Splits
from qualiclip.bench.data import splits

TRAIN = [[4, 0, 2, 1], [3, 2, 1, 4]]
VAL = [[3, -1, -1, -1], [0, -1, -1, -1]]
TEST = [[5, -1, -1, -1], [5, -1, -1, -1]]
FILES = SplitFiles(train="train.npy", val="val.npy", test="test.npy", order="labels", counts=(4, 1, 1))
NAMES = [f"{c}.png" for c in "dbafec"]


@pytest.fixture
def raw(tmp_path):
    for name, rows in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        np.save(tmp_path / f"{name}.npy", np.array(rows))
    return tmp_path


@pytest.fixture
def labels():
    return pd.DataFrame({"image": NAMES})


def test_splits_are_70_10_20_and_do_not_depend_on_row_order():
    names = pd.Series([f"{i}.png" for i in range(200)])
    parts = splits.seeded(names, 3)
    assert parts.value_counts().to_dict() == {"train": 140, "val": 20, "test": 40}
    shuffled = names.sample(frac=1, random_state=0)
    assert splits.seeded(shuffled, 3).sort_index().equals(parts)
    assert not splits.seeded(names, 4).equals(parts)


def test_images_of_one_group_stay_on_one_side():
    table = pd.DataFrame({"image": [f"{i}.png" for i in range(60)], "group": [f"g{i % 20}" for i in range(60)]})
    attached = splits.attach(table, Splits(by="group"))
    for k in range(splits.N_SPLITS):
        assert (attached.groupby("group")[f"split_{k:02d}"].nunique() == 1).all()


def test_each_of_few_groups_is_left_out_once():
    table = pd.DataFrame({"image": [f"{i}.png" for i in range(20)], "group": [f"g{i % 5}" for i in range(20)]})
    attached = splits.attach(table, Splits(by="group")).filter(like="split_")
    assert attached.shape == (20, 5) and ((attached == "test").sum(axis=1) == 1).all(), "each image is tested once"
    assert ((attached == "test").sum() == 4).all() and ((attached == "train").sum() == 12).all()
    two = splits.attach(table.head(2), Splits()).filter(like="split_")
    assert two.to_numpy().tolist() == [["test", "train"], ["train", "test"]], "no images are left to validate with"


def test_row_numbers_of_files_become_names(raw, labels):
    table = splits.attach(labels, Splits(use="files", files=FILES), raw)
    assert table["split_00"].tolist() == ["train", "train", "train", "val", "train", "test"]
    assert table["split_01"].tolist() == ["val", "train", "train", "train", "train", "test"]
    assert "split_02" not in table


def test_row_numbers_of_sorted_names(raw, labels):
    by_name = FILES.model_copy(update={"order": "names"})
    table = splits.attach(labels, Splits(use="files", files=by_name), raw).set_index("image")
    assert table.loc["f.png", "split_00"] == "test" and table.loc["d.png", "split_00"] == "val"


def test_a_flat_file_is_one_official_split_and_may_leave_images_out(raw, labels):
    for name, rows in (("train", [0, 1, 2]), ("val", [3, -1]), ("test", [5])):
        np.save(raw / f"{name}.npy", np.array(rows))
    official = FILES.model_copy(update={"counts": (3, 1, 1)})
    table = splits.attach(labels, Splits(use="files", files=official), raw)
    assert list(table) == ["image", "split_official"]
    assert table["split_official"].tolist() == ["train", "train", "train", "val", "", "test"]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([[4, 0, 2, -1], [3, 2, 1, 4]], r"split 0 has \(3, 1, 1\) images in train, val, test, not \(4, 1, 1\)"),
        ([[4, 0, 2, 5], [3, 2, 1, 4]], "split 0 has images in two parts, or twice in one"),
        ([[4, 0, 2, 2], [3, 2, 1, 4]], r"split 0 has \(3, 1, 1\)"),
        ([[4, 0, 2, 6], [3, 2, 1, 4]], r"row numbers 0\.\.6, the labels have rows 0\.\.5"),
        ([[4, 0, 2, -2], [3, 2, 1, 4]], r"row numbers -2\.\.4"),
        ([[4, 0, 2, 1]], "different numbers of splits"),
    ],
)
def test_split_files_that_do_not_fit_are_refused(raw, labels, train, message):
    np.save(raw / "train.npy", np.array(train))
    with pytest.raises(splits.SplitError, match=message):
        splits.attach(labels, Splits(use="files", files=FILES), raw)


def test_split_files_may_differ_in_size_but_divide_no_reference(raw, labels):
    """Both splits fit these references; with the rows in another order, they do not."""
    np.save(raw / "train.npy", np.array([[4, 0, 2, 1], [2, 0, -1, -1]]))
    np.save(raw / "val.npy", np.array([[3, -1], [4, 1]]))
    np.save(raw / "test.npy", np.array([[5, -1], [3, 5]]))
    by_ref = Splits(use="files", by="ref", files=FILES.model_copy(update={"counts": None}))
    fitting = labels.assign(ref=["x", "y", "x", "z", "y", "v"])
    table = splits.attach(fitting, by_ref, raw)
    assert table["split_01"].tolist() == ["train", "val", "train", "test", "val", "test"]
    with pytest.raises(splits.SplitError, match=r"split_0. has images of ref . in two parts"):
        splits.attach(fitting.assign(ref=fitting["ref"].to_numpy()[::-1]), by_ref, raw)
    np.save(raw / "train.npy", np.array([[4, 0, 2, 2], [2, 0, -1, -1]]))
    with pytest.raises(splits.SplitError, match="twice in one"):
        splits.attach(fitting, by_ref, raw)


def test_a_file_that_holds_objects_is_refused(raw, labels):
    np.save(raw / "val.npy", np.array([{"a": 1}], object))
    with pytest.raises(splits.SplitError, match=r"val\.npy: not a split file"):
        splits.attach(labels, Splits(use="files", files=FILES), raw)


def test_an_official_column(labels):
    column = SplitColumn(column="set", train=["training"], test=["test", "more"], counts=(3, 0, 3))
    values = ["training", "test", "training", "more", "training", "test"]
    table = splits.attach(labels.assign(official=values), Splits(use="column", column=column))
    assert list(table) == ["image", "split_official"]
    assert table["split_official"].tolist() == ["train", "test", "train", "test", "train", "test"]
    with pytest.raises(splits.SplitError, match="what is neither train"):
        splits.from_column(pd.Series(["what"]), column)
    with pytest.raises(splits.SplitError, match=r"\(1, 0, 0\) images"):
        splits.from_column(pd.Series(["training"]), column)


def test_a_use_needs_its_description():
    with pytest.raises(ValueError, match="use: files needs the key files"):
        Splits(use="files")
