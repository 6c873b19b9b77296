"""The place of a score among those of a reference set, and `qualiclip score --explain`."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from qualiclip import cli
from qualiclip.percentiles import Reference, read_reference
from qualiclip.pretrained import DEFAULT, shipped_reference


@pytest.mark.parametrize("below", [0, 1, 50, 99, 100])
def test_limits_are_wilsons(below):
    place = Reference("r", [i / 100 for i in range(100)]).percentile(below / 100 - 0.005)
    limits = binomtest(below, 100).proportion_ci(method="wilson")
    assert (place.value, place.low, place.high) == pytest.approx((below, 100 * limits.low, 100 * limits.high))


def test_equal_scores_count_half():
    assert Reference("r", [0.1, 0.5, 0.5, 0.9]).percentile(0.5).value == 50


def test_limits_hold_for_the_photos_that_the_set_is_a_sample_of():
    """In 2000 draws of 60 photos, the limits of a score that 30% of all photos are below cover it in about 95%."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        place = Reference("r", sorted(rng.random(60))).percentile(0.3)
        covered += place.low <= 30 <= place.high
    assert 0.93 < covered / 2000 < 0.97


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("image\na.png\n", "no column `score`"),
        ("score\n", "it needs scores"),
        ("score\nnan\n", "all of them finite"),
        ("score\ngood\n", "could not convert"),
        ("", "no column `score`"),
    ],
)
def test_what_is_no_reference(tmp_path, content, problem):
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(ValueError, match=rf"r\.csv: no reference \(.*{problem}"):
        read_reference(tmp_path / "r.csv")
    with pytest.raises(FileNotFoundError, match="no such file of scores"):
        read_reference(tmp_path / "none.csv")


def test_the_package_brings_one():
    reference = read_reference(shipped_reference(DEFAULT))
    assert reference.title == "CLIVE" and len(reference.scores) == 627 and reference.scores == sorted(reference.scores)
    assert 0 < reference.scores[0] < reference.scores[-1] < 1


def test_the_command_says_how_many_score_lower(tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    (tmp_path / "broken.png").write_text("no image")
    command = ["score", str(tmp_path), "--device", "cpu", "--explain", "--format"]
    assert cli.main([*command, "csv"]) == 1
    out, err = capsys.readouterr()
    broken, noise = csv.DictReader(io.StringIO(out))
    place = read_reference(shipped_reference(DEFAULT)).percentile(float(noise["score"]))
    assert float(noise["percentile"]) == round(place.value, 1) and broken["percentile"] == ""
    assert float(noise["percentile_low"]) <= place.value <= float(noise["percentile_high"])
    assert "627 images of CLIVE" in err
    # what was printed is a reference, too
    (tmp_path / "mine.csv").write_text(out)
    assert cli.main([*command, "table", "--reference", str(tmp_path / "mine.csv")]) == 1
    out, err = capsys.readouterr()
    assert "better than 50%" in out and "1 images of mine" in err


def test_weights_without_a_reference_say_how_to_make_one(checkpoint, tmp_path, capsys):
    Image.new("RGB", (80, 80)).save(tmp_path / "a.png")
    assert cli.main(["score", str(tmp_path), "--weights", str(checkpoint), "--explain"]) == 2
    assert "name the file: --reference scores.csv" in capsys.readouterr().err
