"""One rule for what is an image in a folder, for the command and for a set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qualiclip import folders
from qualiclip.folders import walk
from qualiclip.score import find_images

NAMES = ["a.png", "sub/B.JPG", "sub/c.jfif", "d.HEIC", "[x]/e.webp", "sub/deep/f.tiff"]
LEFT_OUT = ["notes.txt", ".hidden.png", "._a.png", "__MACOSX/a.png", ".cache/a.png", "sub/movie.mov", "README"]


@pytest.fixture
def tree(tmp_path) -> Path:
    for name in [*NAMES, *LEFT_OUT]:
        (tmp_path / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / name).touch()
    return tmp_path / "t"


def test_images_by_their_suffix_and_a_count_of_the_rest(tree):
    found = walk(tree)
    assert found.images == sorted(NAMES)
    # what lies in hidden folders is not counted
    assert found.left_out == {"hidden": 2, ".mov": 1, ".txt": 1, "without a suffix": 1} and "2 hidden" in found.note()


def test_links_are_followed_once(tree, tmp_path):
    (tree / "loop").symlink_to(tree)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/g.png").touch()
    (tree / "link").symlink_to(tmp_path / "other")
    (tree / "again").symlink_to(tmp_path / "other")
    (tree / "broken.png").symlink_to("nowhere")
    assert walk(tree).images == sorted([*NAMES, "again/g.png", "broken.png"])


def test_a_folder_that_cannot_be_listed_is_named(tree, monkeypatch):
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(folders.os, "scandir", scandir)
    assert walk(tree).unreadable == ["sub/deep"]
    assert tree / "sub/deep" in find_images([str(tree)])  # so that it has a row


def test_the_command_takes_globs_as_a_shell_does(tree, monkeypatch, caplog):
    monkeypatch.chdir(tree)
    assert find_images(["**/*.tiff", "sub/*.JPG"]) == [Path("sub/deep/f.tiff"), Path("sub/B.JPG")]
    assert find_images(["[x]"]) == [Path("[x]/e.webp")] == find_images(["[x]/*"])
    assert find_images(["notes.txt"]) == [Path("notes.txt")]  # named: it has a row, whatever it is
    assert set(find_images(["."])) == {Path(n) for n in NAMES}
    assert "left out of .: 2 hidden" in caplog.text
    with pytest.raises(ValueError, match="an empty path"):
        find_images([""])
    with pytest.raises(FileNotFoundError, match=r"(?s)x: no such.*y\*: no such"):
        find_images(["x", "a.png", "y*"])
    with pytest.raises(FileNotFoundError, match="no such file"):
        find_images(["x" * 5000])
