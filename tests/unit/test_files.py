"""Files that are not whole, or cannot be written: named, with what to do about it."""

from __future__ import annotations

import errno
import os

import pandas as pd
import pytest

from qualiclip.bench import provenance
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.formats import read_index, read_scores
from qualiclip.bench.methods import weights
from qualiclip.io import DamagedFile, atomic, command, read_json

INDEX = "image,width,height,mos\na.png,4,3,1.0\nb.png,4,3,2.0\n"
SCORES = "image,score,error\na.png,0.25,\nb.png,,too dark\n"


def test_whole_files_are_read(tmp_path):
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
        (INDEX.replace("b.png", "a.png"), "a.png stands twice"),
        (INDEX.replace("1.0", '"1.0'), "EOF inside string"),
    ],
)
def test_an_index_that_is_not_whole(tmp_path, text, why):
    (tmp_path / "i.csv").write_text(text)
    with pytest.raises(DamagedFile, match=rf"i\.csv: not whole \(.*{why}.*remove it and run the same command again"):
        read_index(tmp_path / "i.csv", sizes=True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (SCORES[:-1], "last line is cut off"),
        (SCORES.replace("error", "reason"), "columns image, score, reason"),
        (SCORES.replace("0.25", "x"), "a score is no number"),
        (SCORES[: SCORES.index("b.png")], "not one row per image"),
        (SCORES.replace("b.png", "c.png"), "not one row per image"),
    ],
)
def test_a_score_file_that_is_not_that_of_the_index(tmp_path, text, why):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DamagedFile, match=rf"s\.csv: .*{why}.*remove it"):
        read_scores(tmp_path / "s.csv", pd.DataFrame({"image": ["a.png", "b.png"]}))


def test_json_that_is_not_whole(tmp_path):
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(DamagedFile, match=r"x\.json: not whole"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.csv.provenance.json").write_text('{"a": ')
    assert provenance.read(tmp_path / "x.csv") == {}


def test_a_job_that_finds_the_disk_full_says_so_in_one_line(tmp_path):
    def main():
        with atomic(tmp_path / "out.csv"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(SystemExit, match=r"^error: .*out\.csv: No space left on device; free some space, then run"):
        command(main)
    assert not list(tmp_path.iterdir())


def test_a_defect_keeps_its_traceback(tmp_path):
    def main():
        with atomic(tmp_path / "out.csv"):
            raise FileNotFoundError(errno.ENOENT, "no such file", "photo.png")

    with pytest.raises(FileNotFoundError, match=r"photo\.png"):
        command(main)


def test_a_cache_that_cannot_be_written_is_named():
    with pytest.raises(FetchError, match=r"/dev/null/cache cannot be written .*set TORCH_HOME"):
        weights.place("x.pth", weights.Path("/dev/null/cache"))
