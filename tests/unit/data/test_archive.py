"""Unpacking: harmful, damaged and unknown archives."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from qualiclip.bench.data import archive
from qualiclip.bench.data.download import FetchError
from tests.support.archives import tarred, zipped


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w"), ("a.tgz", "w:gz"), ("a.tar.xz", "w:xz")])
def test_tar_and_truncated_tar(tmp_path, name, mode):
    content = os.urandom(100_000)
    path = tarred(
        tmp_path / name, mode, (tarfile.TarInfo("sub/a b.BMP"), content), (tarfile.TarInfo("c"), content[::-1])
    )
    archive.extract(path, tmp_path / "whole")
    assert (tmp_path / "whole/sub/a b.BMP").read_bytes() == content
    path.write_bytes(path.read_bytes()[:150_000])
    with pytest.raises(FetchError, match=rf"{name}: damaged or truncated"):
        archive.extract(path, tmp_path / "half")


def test_a_tar_does_not_leave_its_folder(tmp_path):
    for i, name in enumerate(["../out", "/tmp/out", "a/../../out"]):
        path = tarred(tmp_path / f"{i}.tar", "w", (tarfile.TarInfo(name), b"x"))
        (tmp_path / "t" / "in").mkdir(parents=True, exist_ok=True)
        if name.startswith("/"):  # tarfile makes it relative
            archive.extract(path, tmp_path / "t/in")
            continue
        with pytest.raises(FetchError, match="leaves the folder"):
            archive.extract(path, tmp_path / "t/in")
    assert not (tmp_path / "t/out").exists() and not (tmp_path / "out").exists() and not Path("/tmp/out").exists()


def test_links_are_not_followed_out(tmp_path):
    link = tarfile.TarInfo("door")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    path = tarred(tmp_path / "a.tar", "w", (link, b""), (tarfile.TarInfo("door/x"), b"x"))
    archive.extract(path, tmp_path / "in")
    assert not list((tmp_path / "outside").iterdir()) and not (tmp_path / "in/door").is_symlink()
    info = zipfile.ZipInfo("door")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as z:
        z.writestr(info, str(tmp_path / "outside"))
    archive.extract(tmp_path / "a.zip", tmp_path / "zip")
    assert not (tmp_path / "zip/door").is_symlink()


def test_a_zip_of_windows_has_folders_and_does_not_leave_its_own(tmp_path):
    for name, target in (("Set\\images\\a.png", "in"), ("..\\out.png", "in/side")):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as z:
            z.writestr(name, b"x")
        if target == "in":
            archive.extract(tmp_path / "a.zip", tmp_path / target)
            continue
        with pytest.raises(FetchError, match="leaves the folder"):
            archive.extract(tmp_path / "a.zip", tmp_path / target)
    assert [p.name for p in tmp_path.rglob("*.png")] == ["a.png"] and (tmp_path / "in/Set/images/a.png").is_file()


@pytest.mark.parametrize("form", ["zip", "tgz"])
def test_a_bomb_stops_at_the_limit(tmp_path, form):
    path = tmp_path / f"a.{form}"
    if form == "zip":
        path.write_bytes(zipped(zeros=bytes(3_000_000)))
    else:
        tarred(path, "w:gz", (tarfile.TarInfo("zeros"), bytes(3_000_000)))
    with pytest.raises(FetchError, match=r"would unpack to more than 0\.0 GB; is it a decompression bomb"):
        archive.extract(path, tmp_path / "out", limit=1_000_000)
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_unknown_and_damaged_archives_are_named(tmp_path):
    (tmp_path / "a.rar").write_bytes(b"Rar!" + bytes(100))
    with pytest.raises(FetchError, match=r"a\.rar: .*neither zip nor tar"):
        archive.extract(tmp_path / "a.rar", tmp_path / "out")
    body = bytearray(zipped(one=os.urandom(1000)))
    body[100] ^= 255
    (tmp_path / "b.zip").write_bytes(body)
    with pytest.raises(FetchError, match=r"b\.zip: damaged"):
        archive.extract(tmp_path / "b.zip", tmp_path / "out")
