"""Scoring files: what is an image, what is not, and in which order they are decoded."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from qualiclip import memory
from qualiclip import score as scoring
from qualiclip.images import open_rgb
from qualiclip.model import QualiCLIP
from qualiclip.score import find_images, score
from qualiclip.tensors import to_tensor


@pytest.fixture(scope="module")
def model() -> QualiCLIP:
    return QualiCLIP.create("rn-mini", None)


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


def test_large_images_are_scored_one_by_one(model, tmp_path):
    Image.fromarray(np.zeros((900, 1200, 3), np.uint8)).save(tmp_path / "a.png")
    assert only(model, tmp_path / "a.png").error == ""
    assert torch.isfinite(torch.tensor(only(model, tmp_path / "a.png").score))


@pytest.mark.parametrize("free", [1e12, 1.0], ids=["ahead of the model", "one batch at a time"])
def test_images_are_decoded_in_their_order_in_as_much_memory_as_is_free(tmp_path, monkeypatch, free):
    """Threads decode a few batches ahead, never more than a quarter of the free memory takes."""
    decoded, lock = [], threading.Lock()

    def decode(file):
        with lock:
            decoded.append(file)
        return torch.zeros(3, 64, 64, dtype=torch.uint8)

    monkeypatch.setattr(scoring, "_decode", decode)
    monkeypatch.setattr(memory, "available", lambda: free)
    files = [tmp_path / f"{i}.png" for i in range(20)]
    need = scoring.AHEAD // 4
    for i, batch in enumerate(scoring._decoded([[file] for file in files], [need] * len(files))):
        assert list(batch) == [files[i]]
        assert len(decoded) <= i + (4 if free > 1 else 1)
    assert sorted(decoded) == sorted(files)


def test_a_damaged_image_among_others_keeps_its_row(model, photo, tmp_path):
    for i in range(12):
        photo.save(tmp_path / f"{i:02}.png")
    (tmp_path / "05.png").write_bytes((tmp_path / "05.png").read_bytes()[:3000])
    rows = score(model, sorted(tmp_path.iterdir()), progress=False)
    assert [bool(r.error) for r in rows] == [i == 5 for i in range(12)]
    assert len({r.score for r in rows}) == 2
