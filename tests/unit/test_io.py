"""Files: outputs appear whole or not at all, and a damaged input is named with its remedy."""

from __future__ import annotations

import errno
import os

import pytest

from qualiclip.io import DamagedFile, atomic, atomic_folder, digest, read_json, sha256, write_text


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


def test_an_output_can_be_read_by_all_and_is_the_text(tmp_path):
    write_text(tmp_path / "new/a.txt", "größer\n")
    assert (tmp_path / "new/a.txt").read_bytes() == "größer\n".encode()
    assert (tmp_path / "new/a.txt").stat().st_mode & 0o777 == 0o644
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_a_full_disk_is_named_whatever_the_library_raises(tmp_path):
    with pytest.raises(OSError, match="No space left on device") as e, atomic(tmp_path / "a.pt") as t:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(t))
    assert e.value.filename == str(tmp_path / "a.pt") and not list(tmp_path.iterdir())


def test_json_that_is_not_complete(tmp_path):
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(DamagedFile, match=r"x\.json: not a complete JSON file .*; remove it and run the same command"):
        read_json(tmp_path / "x.json")
    write_text(tmp_path / "x.json", '{"a": 1}')
    assert read_json(tmp_path / "x.json") == {"a": 1}


def test_digests(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest({"a": 1, "b": [2.5]}) == digest({"b": [2.5], "a": 1}) != digest({"a": 1, "b": [2.6]})
    assert len(digest(None)) == 16
