"""The command `qualiclip`: what it prints, its exit status, and the contact sheet."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import sys

import numpy as np
import pytest
from PIL import Image

from qualiclip import cli
from qualiclip.contact_sheet import write_contact_sheet
from qualiclip.score import Row


@pytest.fixture
def photo() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    return Image.fromarray(pixels)


def test_the_command_prints_one_row_per_file_and_its_status(checkpoint, photo, tmp_path, capsys):
    photo.save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    arguments = ["score", str(tmp_path), "--weights", str(checkpoint), "--device", "cpu", "--format"]
    assert cli.main([*arguments, "csv"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert float(rows[0]["score"]) > 0 and rows[1]["score"] == "" and "cannot be read" in rows[1]["error"]
    (tmp_path / "b.png").unlink()
    assert cli.main([*arguments, "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["error"] == ""
    assert cli.main([*arguments, "table"]) == 0
    assert "a.png" in capsys.readouterr().out


def test_the_command_names_what_is_missing(checkpoint, photo, tmp_path, capsys):
    photo.save(tmp_path / "a.png")
    assert cli.main(["score", str(tmp_path / "x.png"), "--weights", str(checkpoint)]) == 2
    assert cli.main(["score", str(tmp_path), "--weights", str(tmp_path / "none")]) == 2
    errors = capsys.readouterr().err
    assert "x.png: no such file" in errors and "none: no such checkpoint" in errors


def test_the_command_draws_the_levels(photo, tmp_path):
    photo.save(tmp_path / "a.png")
    assert cli.main(["degrade", str(tmp_path / "a.png"), "--types", "jpeg", "white_noise"]) == 0
    with Image.open(tmp_path / "a_degraded.png") as sheet:
        assert sheet.width == 6 * 160
    assert cli.main(["degrade", str(tmp_path / "a.png"), "--types", "jpg"]) == 2


@pytest.fixture
def scored(checkpoint, photo, tmp_path, capsys):
    """Runs `qualiclip score` on a folder of three images and a damaged one; returns its status and its CSV rows."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate("abc"):
        photo.crop((0, 0, 70 + 10 * i, 64 + 8 * i)).save(folder / f"{name}.png")
    (folder / "d.png").write_text("no image")

    def command(*arguments: str, path: str = str(folder)):
        status = cli.main(
            ["score", path, "--weights", str(checkpoint), "--device", "cpu", "--format", "csv", *arguments]
        )
        return status, list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    return command


def test_the_best_and_the_worst_alone(scored):
    status, rows = scored()
    order = sorted((float(r["score"]) for r in rows[:3]), reverse=True)
    assert status == 1 and len(rows) == 4 and len(set(order)) == 3
    for option, expected in (("--top", order[:2]), ("--bottom", order[:0:-1])):
        status, some = scored(option, "2")
        assert [float(r["score"]) for r in some[:2]] == expected
        assert status == 1 and len(some) == 3 and some[2]["error"]  # what failed is not lost
    assert len(scored("--top", "100")[1]) == 4
    with pytest.raises(SystemExit):
        scored("--top", "0")


@pytest.mark.parametrize("end", ["\n", "\0"], ids=["lines", "find -print0"])
def test_standard_input_is_a_list_of_files(scored, photo, tmp_path, monkeypatch, end):
    names = ["a b.png", "[c].png"] if end == "\n" else ["a\nb.png", "c.png"]
    for name in names:
        photo.save(tmp_path / name)
    listed = "".join(str(tmp_path / name) + end for name in names)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(os.fsencode(listed))))
    status, rows = scored(path="-")
    assert status == 0 and [r["image"] for r in rows] == [str(tmp_path / name) for name in names]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    assert scored(path="-") == (2, [])


def test_a_contact_sheet_is_sorted_and_needs_nothing_else(scored, tmp_path, capsys):
    sheet = tmp_path / "sheet.html"
    status, rows = scored("--html", str(sheet))
    page = sheet.read_text()
    shown = [float(s) for s in re.findall(r"<b>([\d.]+)</b>", page)]
    assert status == 1 and shown == sorted((round(float(r["score"]), 4) for r in rows[:3]), reverse=True)
    assert re.search(r"<li>.*d\.png: cannot be read", page) and "http" not in page
    assert len(re.findall(r'src="data:image/jpeg;base64,', page)) == 3
    # an old one is kept
    assert scored("--html", str(sheet)) == (2, []) and sheet.read_text() == page


def test_names_on_a_contact_sheet_are_text(photo, tmp_path):
    name = '<img src=x onerror="a()">&\udcff\n.png'
    photo.resize((960, 480)).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", tmp_path / name)
    rows = [Row(tmp_path / name, 0.5), Row(tmp_path / "gone.png", 0.75), Row(tmp_path / name, None, "<b>")]
    write_contact_sheet(tmp_path / "sheet.html", rows, "a & b")
    page = (tmp_path / "sheet.html").read_text()
    assert "<img src=x" not in page and page.count("&lt;img src=x onerror=&quot;a()&quot;&gt;&amp;\\xff\\n.png") == 3
    assert ": &lt;b&gt;</li>" in page and "a &amp; b" in page
    (picture,) = re.findall(r"base64,([^\"]+)", page)
    assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (240, 120)
