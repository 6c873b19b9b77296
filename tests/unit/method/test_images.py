"""The one door for pictures: an image that looks as it should, or one error with its reason."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qualiclip import images
from qualiclip.images import UnreadableImage, image_size, open_rgb
from qualiclip.score import score_files

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
PHOTO = Image.fromarray(PIXELS)


def encoded(form: str, image: Image.Image = PHOTO, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def png_with(chunk: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    png = encoded("PNG")
    extra = struct.pack(">I", len(data)) + chunk + data + struct.pack(">I", zlib.crc32(chunk + data))
    return png[:33] + extra + png[33:]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["tif", "png", "webp"])
def test_the_size_is_that_of_the_upright_image(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"webp": {"lossless": True}}.get(suffix, {})
    PHOTO.save(tmp_path / f"x.{suffix}", exif=exif, **lossless)
    upright = open_rgb(tmp_path / f"x.{suffix}")
    by_hand = {1: PIXELS, 3: PIXELS[::-1, ::-1], 6: np.rot90(PIXELS, -1), 8: np.rot90(PIXELS)}
    assert upright.size == image_size(tmp_path / f"x.{suffix}")
    if orientation in by_hand:
        assert np.array_equal(np.asarray(upright), by_hand[orientation])


def test_damaged_metadata_leaves_the_pixels(tmp_path, caplog):
    (tmp_path / "x.png").write_bytes(png_with(b"eXIf", b"garbage" * 9))
    assert image_size(tmp_path / "x.png") == (30, 20)
    assert np.array_equal(np.asarray(open_rgb(tmp_path / "x.png")), PIXELS)
    assert len(caplog.messages) == 1 and "x.png: its EXIF data is damaged" in caplog.text


def test_transparency_is_laid_on_white(tmp_path):
    alpha = np.zeros((20, 30), np.uint8)
    alpha[:, 10:20], alpha[:, 20:] = 255, 128
    for name, hidden in (("a", PIXELS), ("b", 255 - PIXELS)):
        hidden = np.where(alpha[..., None] == 0, hidden, PIXELS)
        Image.fromarray(np.dstack([hidden, alpha])).save(tmp_path / f"{name}.png")
    a, b = (np.asarray(open_rgb(tmp_path / f"{n}.png")).astype(int) for n in "ab")
    assert np.array_equal(a, b) and (a[:, :10] == 255).all() and np.array_equal(a[:, 10:20], PIXELS[:, 10:20])
    assert np.abs(a[:, 20:] - (PIXELS[:, 20:] * 128.0 + 255 * 127) / 255).max() < 1


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_an_agreed_white_are_refused(tmp_path, mode):
    Image.fromarray(PIXELS[..., 0]).convert(mode).save(tmp_path / "x.tif")
    with pytest.raises(UnreadableImage, match=r"x\.tif: .* pixels have no agreed white; save it with 8 or 16 bits"):
        open_rgb(tmp_path / "x.tif")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.png", b"", "damaged, or not an image"),
        ("x.heic", b"\0\0\0\x18ftypheic", "pip install pillow-heif"),
        ("x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "damaged, or not an image"),
        ("x.png", encoded("PNG")[:-400], "truncated"),
    ],
)
def test_a_reason_for_what_cannot_be_read(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason) as e:
        open_rgb(tmp_path / name)
    assert str(e.value) == f"{tmp_path / name}: {e.value.reason}" == str(pickle.loads(pickle.dumps(e.value)))


def test_what_is_no_file_does_not_hold_up_the_others(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "broken.png").symlink_to("nowhere")
    (tmp_path / "folder.png").mkdir()
    reasons = {
        "pipe": "not a regular file",
        "loop": "Too many levels",
        "broken": "No such file",
        "folder": "not a file",
    }
    for name, reason in [*reasons.items(), ("x" * 300, "File name too long"), ("nul\0", "null")]:
        for read in (open_rgb, image_size):
            with pytest.raises(UnreadableImage, match=reason):
                read(tmp_path / f"{name}.png")


def test_memory_is_foreseen_from_the_header(tmp_path, monkeypatch):
    PHOTO.save(tmp_path / "x.png")
    monkeypatch.setattr(images.memory, "available", lambda: 30 * 20 * 16 - 1)
    with pytest.raises(UnreadableImage, match=r"30x20 px, 0 megapixels, would take .* GiB of memory, .* are free"):
        open_rgb(tmp_path / "x.png")
    assert image_size(tmp_path / "x.png") == (30, 20)
    assert images.memory.available() > 0


class Brightness:
    """Stands for a model."""

    bytes_per_pixel = 0
    score = staticmethod(lambda images: images.mean((1, 2, 3)))


FORMS = {"PNG": {}, "JPEG": {}, "WEBP": {}, "GIF": {}, "TIFF": {"compression": "tiff_lzw"}, "BMP": {}, "JPEG2000": {}}
ENCODED = {form: encoded(form, PHOTO.resize((72, 66)), **options) for form, options in FORMS.items()}


@given(
    st.sampled_from(sorted(ENCODED)),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
def test_a_damaged_file_has_a_score_or_a_reason(tmp_path, form, bytes_changed, kept):
    content = bytearray(ENCODED[form])
    for place, value in bytes_changed:
        content[int(place * len(content))] = value
    content = content[: round(kept * len(content))] if kept < 0.9 else content
    file = tmp_path / "x"
    file.write_bytes(content)
    (row,) = score_files(Brightness(), [file])
    assert 0 <= row.score <= 1 if row.score is not None else row.error and "\n" not in row.error
    assert file.read_bytes() == content
    for read in (open_rgb, image_size):
        try:
            result = read(file)
        except UnreadableImage as e:
            assert e.reason and "\n" not in e.reason
        else:
            assert not isinstance(result, Image.Image) or result.mode == "RGB"
