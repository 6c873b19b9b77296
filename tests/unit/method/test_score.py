"""Scoring files: what is an image, what is not, and what the command prints."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from qualiclip import cli
from qualiclip.images import open_rgb
from qualiclip.model import QualiCLIP
from qualiclip.score import find_images, score
from qualiclip.tensors import to_tensor


@pytest.fixture(scope="module")
def model() -> QualiCLIP:
    return QualiCLIP.create("rn-mini", None)


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    save_file(model.state_dict(), folder / "weights.safetensors")
    (folder / "train.json").write_text(json.dumps({"model": model.config}))
    return folder


@pytest.fixture
def photo() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    return Image.fromarray(pixels)


def only(model, path):
    (row,) = score(model, [path], progress=False)
    return row


def test_scores_are_those_of_the_model_in_the_order_asked(model, photo, tmp_path):
    for name in ("b", "a"):
        photo.save(tmp_path / f"{name}.png")
    photo.crop((0, 0, 70, 64)).save(tmp_path / "c.png")
    rows = score(model, [tmp_path / f"{n}.png" for n in "bca"], progress=False)
    assert [r.image.stem for r in rows] == ["b", "c", "a"] and rows[0].score == rows[2].score
    assert rows[0].score == pytest.approx(float(model.score(to_tensor(photo)[None] / 255)), abs=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1"])
def test_other_modes_are_scored_as_rgb(model, photo, tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    photo.convert(mode).save(tmp_path / f"x.{suffix}")
    assert 0 <= only(model, tmp_path / f"x.{suffix}").score <= 1


def test_16_bits_are_scaled_not_cut(photo, tmp_path):
    grey = np.asarray(photo.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "x.png")
    assert np.array_equal(np.asarray(open_rgb(tmp_path / "x.png"))[..., 0], grey)


def test_an_animation_is_scored_by_its_first_frame(model, photo, tmp_path):
    photo.convert("P").save(tmp_path / "x.gif", save_all=True, append_images=[photo.rotate(90).convert("P")])
    photo.convert("P").save(tmp_path / "y.gif")
    assert only(model, tmp_path / "x.gif").score == only(model, tmp_path / "y.gif").score


def test_exif_rotation_is_applied(model, photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.rotate(90, expand=True).save(tmp_path / "x.png", exif=exif)
    photo.save(tmp_path / "y.png")
    rows = score(model, [tmp_path / "x.png", tmp_path / "y.png"], progress=False)
    assert rows[0].score == rows[1].score


def test_what_is_not_an_image_keeps_a_row_with_its_reason(model, photo, tmp_path, monkeypatch):
    (tmp_path / "empty.png").touch()
    photo.save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:3000])
    photo.crop((0, 0, 63, 64)).save(tmp_path / "small.png")
    assert "cannot be read" in only(model, tmp_path / "empty.png").error
    assert "cannot be read" in only(model, tmp_path / "cut.png").error
    assert only(model, tmp_path / "small.png").error == "63x64 px is under 64 px"
    photo.save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "decompression bomb" in only(model, tmp_path / "bomb.png").error


def test_files_folders_and_globs_are_found_once(photo, tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.JPG"):
        photo.save(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    files = find_images([str(tmp_path), str(tmp_path / "*.png"), str(tmp_path / "a.png")])
    assert [p.name for p in files] == ["a.png", "b.JPG"]
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="no images in this folder"):
        find_images([str(tmp_path / "none")])
    with pytest.raises(FileNotFoundError, match=r"x\*\.png: no such file"):
        find_images([str(tmp_path / "x*.png")])


def test_the_command_prints_one_row_per_file_and_its_status(weights, photo, tmp_path, capsys):
    photo.save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    arguments = ["score", str(tmp_path), "--weights", str(weights), "--device", "cpu", "--format"]
    assert cli.main([*arguments, "csv"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert float(rows[0]["score"]) > 0 and rows[1]["score"] == "" and "cannot be read" in rows[1]["error"]
    (tmp_path / "b.png").unlink()
    assert cli.main([*arguments, "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["error"] == ""
    assert cli.main([*arguments, "table"]) == 0
    assert "a.png" in capsys.readouterr().out


def test_the_command_names_what_is_missing(weights, photo, tmp_path, capsys):
    photo.save(tmp_path / "a.png")
    assert cli.main(["score", str(tmp_path / "x.png"), "--weights", str(weights)]) == 2
    assert cli.main(["score", str(tmp_path), "--weights", str(tmp_path / "none")]) == 2
    errors = capsys.readouterr().err
    assert "x.png: no such file" in errors and "none: no such checkpoint" in errors


def test_the_command_draws_the_levels(photo, tmp_path):
    photo.save(tmp_path / "a.png")
    assert cli.main(["degrade", str(tmp_path / "a.png"), "--types", "jpeg", "white_noise"]) == 0
    with Image.open(tmp_path / "a_degraded.png") as sheet:
        assert sheet.width == 6 * 160
    assert cli.main(["degrade", str(tmp_path / "a.png"), "--types", "jpg"]) == 2


def test_large_images_are_scored_one_by_one(model, tmp_path):
    Image.fromarray(np.zeros((900, 1200, 3), np.uint8)).save(tmp_path / "a.png")
    assert only(model, tmp_path / "a.png").error == ""
    assert torch.isfinite(torch.tensor(only(model, tmp_path / "a.png").score))
