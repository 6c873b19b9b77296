"""The benchmark's pieces: cards, files, fetch, index, splits, correlations, gMAD, tables, dependencies."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from qualiclip.bench import fetch, index, splits
from qualiclip.bench.cards import CardError, DatasetCard, MethodCard, ScaleConfig, Splits, read_card, read_config
from qualiclip.bench.code import sources
from qualiclip.bench.files import atomic, atomic_folder

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
def card(tmp_path) -> DatasetCard:
    (tmp_path / "small.yaml").write_text(DATASET)
    return read_card(DatasetCard, tmp_path / "small.yaml")


@pytest.fixture
def mirrored(tmp_path) -> Path:
    """mirror/small/small.zip: three images, one named in another case than its label."""
    folder = tmp_path / "mirror" / "small"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "small.zip", "w") as z:
        z.writestr("labels.csv", "image,mos\na b.png,1\nsub/b.png,2.5\nc.PNG,5\n")
        for name in ("a b.png", "sub/b.png", "c.png"):
            with z.open(f"pics/{name}", "w") as f:
                Image.new("RGB", (70, 80), (name[0] == "a" and "red") or "blue").save(f, "PNG")
    return tmp_path / "mirror"


# cards


def test_a_misspelt_key_names_the_file_the_key_and_the_allowed_keys(tmp_path):
    (tmp_path / "x.yaml").write_text(METHOD + "higer_better: true\n")
    with pytest.raises(CardError, match=r"x\.yaml: unknown key 'higer_better'; allowed keys: .*higher_better"):
        read_card(MethodCard, tmp_path / "x.yaml")


def test_a_nested_misspelt_key_names_the_keys_of_its_place(tmp_path):
    (tmp_path / "x.yaml").write_text(DATASET.replace("range:", "rnage: 1, range:"))
    with pytest.raises(CardError, match=r"unknown key 'labels\.rnage'; allowed keys: .*range"):
        read_card(DatasetCard, tmp_path / "x.yaml")


def test_two_sources_are_refused(tmp_path):
    (tmp_path / "x.yaml").write_text(METHOD + "variant: y\n")
    with pytest.raises(CardError, match="exactly one source"):
        read_card(MethodCard, tmp_path / "x.yaml")


def test_a_variant_with_a_misspelt_key_is_refused(tmp_path, at_root):
    with pytest.raises(CardError, match="lambda_psitive"):
        read_config(at_root / "workflow/config/mini.yaml", {"variants": {"a": {"lambda_psitive": 1}}})


def test_editing_a_citation_changes_no_score_digest(tmp_path):
    (tmp_path / "x.yaml").write_text(METHOD)
    before = read_card(MethodCard, tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text(METHOD.replace("citation: c", "citation: d"))
    assert read_card(MethodCard, tmp_path / "x.yaml").score_digest() == before.score_digest()
    (tmp_path / "x.yaml").write_text(METHOD.replace("piqe", "niqe"))
    assert read_card(MethodCard, tmp_path / "x.yaml").score_digest() != before.score_digest()


def test_defaults_of_a_config_are_the_papers(at_root):
    c = read_config(at_root / "workflow/config/paper.yaml")
    assert isinstance(c, ScaleConfig)
    train = c.variant("qualiclip")
    assert (train.margin_ranking, train.margin_consistency, train.lr, train.levels) == (6.75e-2, 2.5e-3, 1e-9, 5)


# files


def test_atomic_leaves_nothing_half_written(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic(tmp_path / "a") as t:
        t.write_text("new")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_atomic_folder_replaces_whole(tmp_path):
    with atomic_folder(tmp_path / "d") as t:
        (t / "one").touch()
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "d") as t:
        (t / "two").touch()
        raise RuntimeError
    assert [p.name for p in tmp_path.rglob("*")] == ["d", "one"]


# fetch and index


def test_fetch_and_index(card, mirrored, tmp_path):
    fetch.fetch(card, tmp_path / "raw", mirrored)
    table = index.build(card, tmp_path / "raw" / "small")
    assert table["image"].tolist() == ["pics/a b.png", "pics/sub/b.png", "pics/c.png"]
    assert table[["width", "height", "mos"]].iloc[2].tolist() == [70, 80, 5]
    assert {f"split_{k:02d}" for k in range(10)} <= set(table)


def test_a_truncated_archive_is_named_and_nothing_half_extracted_stays(card, mirrored, tmp_path):
    archive = mirrored / "small" / "small.zip"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(fetch.FetchError, match=r"small\.zip: damaged or truncated"):
        fetch.fetch(card, tmp_path / "raw", mirrored)
    assert not list((tmp_path / "raw").rglob("*.png"))
    archive.write_bytes(whole)
    fetch.fetch(card, tmp_path / "raw", mirrored)


def test_an_archive_does_not_leave_its_folder(card, mirrored, tmp_path):
    with zipfile.ZipFile(mirrored / "small" / "small.zip", "a") as z:
        z.writestr("../../escaped.txt", "x")
    with pytest.raises(fetch.FetchError, match="leaves the folder"):
        fetch.fetch(card, tmp_path / "raw", mirrored)
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_file_to_fetch_by_hand_is_named_with_its_place(card, tmp_path):
    with pytest.raises(fetch.FetchError, match=r"small\.zip must be fetched by hand .*DIR/small/small\.zip"):
        fetch.fetch(card, tmp_path / "raw", None)


def test_a_wrong_digest_is_refused(card, mirrored, tmp_path):
    wrong = card.model_copy(update={"files": [card.files[0].model_copy(update={"sha256": "0" * 64})]})
    with pytest.raises(fetch.FetchError, match="SHA-256"):
        fetch.fetch(wrong, tmp_path / "raw", mirrored)


def test_missing_images_are_counted_and_named_or_left_out(card, mirrored, tmp_path):
    fetch.fetch(card, tmp_path / "raw", mirrored)
    (tmp_path / "raw/small/pics/sub/b.png").unlink()
    with pytest.raises(index.DatasetError, match=r"1 of 3 images are missing .*sub/b\.png.*allow_missing=true"):
        index.build(card, tmp_path / "raw/small")
    assert len(index.build(card, tmp_path / "raw/small", allow_missing=True)) == 2


def test_an_image_that_is_no_image_is_named(card, mirrored, tmp_path):
    fetch.fetch(card, tmp_path / "raw", mirrored)
    (tmp_path / "raw/small/pics/c.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"c\.png: not an image"):
        index.build(card, tmp_path / "raw/small")


def test_a_label_out_of_range_is_named(card, mirrored, tmp_path):
    fetch.fetch(card, tmp_path / "raw", mirrored)
    low = card.model_copy(update={"labels": card.labels.model_copy(update={"range": (0, 4)})})
    with pytest.raises(index.DatasetError, match=r"1 labels outside \[0.*c\.png"):
        index.build(low, tmp_path / "raw/small")


# splits


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


# what depends on what


def test_the_code_behind_an_output_is_found():
    assert "qualiclip/bench/correlate.py" in sources("qualiclip.bench.correlate")
    assert "qualiclip/train.py" not in sources("qualiclip.bench.correlate")
    assert {"qualiclip/degrade/spatial.py", "qualiclip/losses.py"} <= set(sources("qualiclip.train"))


@pytest.mark.parametrize("module", ["cards", "workspace", "fetch", "index", "correlate", "tables", "figures", "report"])
def test_bookkeeping_never_imports_torch(module, at_root):
    code = f"import sys, qualiclip.bench.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=at_root).returncode == 0
