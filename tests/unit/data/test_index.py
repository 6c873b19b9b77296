"""From raw folders to indexes: names, labels, missing images, a user's own folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from qualiclip.bench.captions import missing_images
from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.dataset import DatasetCard, Images
from qualiclip.bench.data import fetch, index, labels
from qualiclip.images import image_size

DATASET = """
title: small
family: authentic
files: [{filename: small.zip, manual: by hand, extract: true}]
labels: {file: labels.csv, range: [0, 5]}
images: {root: pics, count: 3}
citation: c
license: l
"""


@pytest.fixture
def card(tmp_path) -> DatasetCard:
    (tmp_path / "small.yaml").write_text(DATASET)
    return read_card(DatasetCard, tmp_path / "small.yaml")


@pytest.fixture
def raw(card, tmp_path) -> Path:
    """raw/small, fetched from a mirror: three images, of which one has a name in another case in the labels."""
    folder = tmp_path / "mirror" / "small"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "small.zip", "w") as z:
        z.writestr("labels.csv", "\ufeffimage,mos\na b.png,1\nsub/b.png,2.5\nc.PNG,5\n")
        z.writestr("__MACOSX/pics/._c.png", "finder")
        for name in ("a b.png", "sub/b.png", "c.png"):
            with z.open(f"pics/{name}", "w") as f:
                Image.new("RGB", (70, 80), (name[0] == "a" and "red") or "blue").save(f, "PNG")
    fetch.fetch(card, tmp_path / "raw", tmp_path / "mirror")
    return tmp_path / "raw" / "small"


def changed(card: DatasetCard, **labels) -> DatasetCard:
    return card.model_copy(update={"labels": card.labels.model_copy(update=labels)})


def test_fetch_and_index(card, raw):
    table = index.build(card, raw)
    assert table["image"].tolist() == ["pics/a b.png", "pics/sub/b.png", "pics/c.png"]
    assert table[["width", "height", "mos"]].iloc[2].tolist() == [70, 80, 5]
    assert {f"split_{k:02d}" for k in range(3)} <= set(table)  # each of three images is left out once


def test_missing_images_are_counted_and_named_or_left_out(card, raw):
    whole = index.build(card, raw)
    (raw / "pics/sub/b.png").unlink()
    with pytest.raises(index.DatasetError, match=r"1 of 3 images are missing .*sub/b\.png.*allow_missing=true"):
        index.build(card, raw)
    part = index.build(card, raw, allow_missing=True)
    # the others stay in the same part of every split
    assert part.equals(whole.drop(index=1).reset_index(drop=True))


def test_the_first_five_of_many_missing_are_named(tmp_path):
    with pytest.raises(index.DatasetError, match=r"9 of 9 images .*0\.png, 1\.png, 2\.png, 3\.png, 4\.png, \.\.\.\)"):
        index.locate(pd.Series([f"{i}.png" for i in range(9)]), [], tmp_path, "x", allow_missing=False)
    with pytest.raises(index.DatasetError, match=r"none of its 9 images .*; complete the set"):
        index.locate(pd.Series([f"{i}.png" for i in range(9)]), [], tmp_path, "x", allow_missing=True)


def test_an_image_that_is_no_image_is_named(card, raw):
    (raw / "pics/c.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"1 of 3 images cannot be read.*\n.*c\.png: damaged, or not an image"):
        index.build(card, raw)


def test_a_label_out_of_range_is_named(card, raw):
    with pytest.raises(index.DatasetError, match=r"1 labels outside \[0.*c\.PNG: 5"):
        index.build(changed(card, range=(0, 4)), raw)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,mos\na b.png,1\nA B.png,2\nc.png,3\n", r"2 images are named twice \(A B\.png, a b\.png\)"),
        (
            "image,mos\na b.png,1\nsub/b.png,\nc.png,3\n",
            r"1 images have no number in the column mos \(sub/b\.png, row 3",
        ),
        ("image,mos\na b.png,1\n", "1 labelled images, the card says 3"),
        ("image,score\na b.png,1\n", "no column mos; it has image, score"),
        ("image,mos\na b.png,1\nb.png,2\nsub/b.png,3\n", "two labels mean the file sub/b.png"),
    ],
)
def test_labels_that_cannot_be_right_are_refused(card, raw, content, message):
    (raw / "labels.csv").write_text(content)
    with pytest.raises(index.DatasetError, match=message):
        index.build(card, raw)


def test_images_with_two_labels_can_be_left_out(card, raw):
    (raw / "labels.csv").write_text("image,mos\na b.png,1\nA b.png,2\nc.png,3\nsub/b.png,4\n")
    two = changed(card, duplicates="drop").model_copy(update={"images": Images(root="pics", count=2)})
    assert index.build(two, raw)["mos"].tolist() == [3, 4]


def test_a_missing_label_file_is_named(card, raw):
    (raw / "labels.csv").unlink()
    with pytest.raises(index.DatasetError, match=r"label file .*labels\.csv is missing"):
        index.build(card, raw)
    with pytest.raises(index.DatasetError, match=r"cannot be read as xlsx"):
        (raw / "labels.csv").write_text("x")
        index.build(changed(card, format="xlsx"), raw)


def test_the_end_of_a_path_is_enough_unless_it_means_two_files(tmp_path):
    files = ["one/x/a.png", "two/x/b.png", "two/x/a.png", "Two/c.PNG"]
    paths = index.locate(pd.Series(["b.png", "x/B.png", "one/x/a.png", "c.png"]), files, tmp_path, "d", False)
    assert paths.tolist() == ["two/x/b.png", "two/x/b.png", "one/x/a.png", "Two/c.PNG"]
    with pytest.raises(index.DatasetError, match=r"x/a\.png could mean one/x/a\.png, two/x/a\.png"):
        index.locate(pd.Series(["x/a.png"]), files, tmp_path, "d", False)


def test_one_folder_of_images(card, raw):
    (raw / "pics2").mkdir()
    two = card.model_copy(update={"images": Images(root="pics*", count=3)})
    with pytest.raises(index.DatasetError, match=r"one folder .* expected, there are"):
        index.build(two, raw)
    none = card.model_copy(update={"images": Images(root="**/other", count=3)})
    with pytest.raises(index.DatasetError, match="there is none"):
        index.build(none, raw)


def test_sizes_are_read_from_headers_as_images_are_seen(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=turned)
    Image.new("RGB", (30, 20)).save(tmp_path / "b.png", exif=turned)
    Image.new("RGB", (30, 20)).save(tmp_path / "c.png")
    assert [image_size(tmp_path / n) for n in ("a.jpg", "b.png", "c.png")] == [(20, 30), (20, 30), (30, 20)]
    whole = (tmp_path / "c.png").read_bytes()
    (tmp_path / "c.png").write_bytes(whole[:-30])  # the header suffices
    assert image_size(tmp_path / "c.png") == (30, 20)


def test_a_set_without_labels(card, raw):
    pristine = card.model_copy(update={"labels": None, "family": "pristine"})
    assert list(index.build(pristine, raw)) == ["image", "width", "height"]
    four = pristine.model_copy(update={"images": Images(root="pics", count=4)})
    with pytest.raises(index.DatasetError, match=r"3 images under .*the card says 4"):
        index.build(four, raw)
    assert len(index.build(four, raw, allow_missing=True)) == 3
    two = pristine.model_copy(update={"images": Images(root="pics", count=2)})
    assert len(index.build(two, raw)) == 3 and missing_images(two, index.build(two, raw)) == 0


def test_names_that_look_like_numbers_stay_names(card, tmp_path):
    (tmp_path / "labels.csv").write_text("image,mos\n007,1\n1e3,2\n")
    assert labels.read_labels(card, tmp_path)["image"].tolist() == ["007", "1e3"]


def test_references_from_names(card, tmp_path):
    (tmp_path / "labels.csv").write_text("image,mos\nI01_1.png,1\ni01_2.png,2\n")
    assert labels.read_labels(changed(card, ref_pattern="^(.\\d\\d)_"), tmp_path)["ref"].tolist() == ["I01", "I01"]
    with pytest.raises(index.DatasetError, match="ref_pattern does not match 2 names"):
        labels.read_labels(changed(card, ref_pattern="^(x)"), tmp_path)
    text = DATASET.replace("range:", "ref_pattern: '(a)(b)', range:")
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(CardError, match="exactly one group"):
        read_card(DatasetCard, tmp_path / "bad.yaml")


def test_types_from_names_have_names(card, tmp_path):
    (tmp_path / "labels.csv").write_text("image,mos\nI01_10_1.png,1\nI01_02_2.png,2\n")
    typed = changed(card, type_pattern="_(\\d\\d)_", types={"02": "blur", "10": "jpeg"})
    assert labels.read_labels(typed, tmp_path)["type"].tolist() == ["jpeg", "blur"] and typed.has_types
    with pytest.raises(index.DatasetError, match="types has no name for 02"):
        labels.read_labels(changed(card, type_pattern="_(\\d\\d)_", types={"10": "jpeg"}), tmp_path)
    (tmp_path / "bad.yaml").write_text(DATASET.replace("range:", "types: {a: b}, range:"))
    with pytest.raises(CardError, match="types belong to type"):
        read_card(DatasetCard, tmp_path / "bad.yaml")


def test_an_own_folder_in_six_lines(tmp_path):
    """As README shows it."""
    mine = tmp_path / "photos"
    (mine / "2024").mkdir(parents=True)
    for i in range(12):
        Image.fromarray(np.full((20, 30, 3), i, np.uint8)).save(mine / "2024" / f"IMG {i}.JPG", "JPEG")
    rows = "".join(f"IMG {i}.jpg,{i / 3}\n" for i in range(12))
    (mine / "scores.csv").write_text("photo,opinion\n" + rows)
    (tmp_path / "my_photos.yaml").write_text(
        f"""title: My photos
family: authentic
folder: {mine}
labels: {{file: scores.csv, image: photo, mos: opinion, range: [0, 5]}}
citation: unpublished
license: my own
"""
    )
    own = read_card(DatasetCard, tmp_path / "my_photos.yaml")
    fetch.fetch(own, tmp_path / "raw", None)
    table = index.build(own, tmp_path / "raw/my_photos")
    assert len(table) == 12 and table["image"].iloc[3] == "folder/2024/IMG 3.JPG" and table["mos"].iloc[3] == 1
