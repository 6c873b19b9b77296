"""A card's files: mirror, digests, what is not here, and a small disk."""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
import threading
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.dataset import DatasetCard, Download
from qualiclip.bench.data import archive, download, fetch
from qualiclip.bench.data.download import FetchError
from tests.support.archives import zipped


def test_download_verify_extract(card, tmp_path):
    manifest = fetch.fetch(card, tmp_path / "raw", None)
    assert sorted(p.name for p in manifest.parent.rglob("*.txt")) == ["one.txt", "two.txt"]
    assert not (tmp_path / "raw/.downloads/small").exists()


def test_a_wrong_digest_is_refused_and_the_file_goes(card, tmp_path):
    wrong = card.model_copy(update={"files": [card.files[0].model_copy(update={"sha256": "0" * 64})]})
    with pytest.raises(FetchError, match=r"small\.zip: SHA-256 .* the card says 000.*; remove it and fetch it again"):
        fetch.fetch(wrong, tmp_path / "raw", None)
    assert not (tmp_path / "raw/small").exists()
    assert not (tmp_path / "raw/.downloads/small/small.zip").exists()


def test_an_unknown_digest_is_recorded_at_the_first_download_and_enforced_later(card, server, tmp_path):
    fetch.fetch(card, tmp_path / "raw", None)
    record = tmp_path / "raw/.digests/small/small.zip.sha256"
    assert record.read_text().split()[1] == "small.zip"
    shutil.rmtree(tmp_path / "raw/small")
    server.files["small.zip"] = zipped(one=b"changed")
    with pytest.raises(FetchError, match=r"the first download had .*; remove it .*, or remove .*small\.zip\.sha256 to"):
        fetch.fetch(card, tmp_path / "raw", None)
    record.unlink()
    server.requests.clear()  # the download is kept: it may be a new release
    assert (fetch.fetch(card, tmp_path / "raw", None).parent / "one.txt").read_text() == "changed"
    assert not server.requests


def test_a_truncated_archive_is_named_goes_and_is_not_recorded(card, server, tmp_path):
    whole = server.files["small.zip"]
    server.files["small.zip"] = whole[: len(whole) // 2]
    with pytest.raises(FetchError, match=r"small\.zip: damaged or truncated"):
        fetch.fetch(card, tmp_path / "raw", None)
    assert not list((tmp_path / "raw").rglob("*.txt")) and not list((tmp_path / "raw").rglob("*.sha256"))
    server.files["small.zip"] = whole
    fetch.fetch(card, tmp_path / "raw", None)


def test_several_jobs_download_a_file_once(card, server, tmp_path):
    jobs = [threading.Thread(target=fetch.fetch, args=(card, tmp_path / "raw", None)) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(server.requests) == 1 and (tmp_path / "raw/small/one.txt").is_file()


def test_the_mirror_is_taken_in_place_of_the_network(card, server, tmp_path):
    (tmp_path / "mirror/small").mkdir(parents=True)
    (tmp_path / "mirror/small/small.zip").write_bytes(zipped(mine=b"1"))
    fetch.fetch(card, tmp_path / "raw", tmp_path / "mirror")
    assert (tmp_path / "raw/small/mine.txt").is_file() and not server.requests


def test_a_shared_file_has_a_second_place_in_the_mirror(tmp_path):
    (tmp_path / "mirror/splits").mkdir(parents=True)
    (tmp_path / "mirror/splits/x.npy").write_bytes(b"x")
    item = Download(filename="splits/train.npy", manual="m", mirror="splits/x.npy")
    assert item.in_mirror("any", tmp_path / "mirror") == tmp_path / "mirror/splits/x.npy"


# releases that are not here


def reason(card: DatasetCard, raw: Path, mirror: Path | None = None) -> str:
    """Why a set is not here after a fetch."""
    return fetch.not_here(fetch.fetch(card, raw, mirror))


def test_a_release_to_bring_by_hand_is_named_with_source_and_place_until_it_has_come(card, tmp_path):
    files = [Download(filename=f, manual=f"by the form of {f[0]}", extract=f == "z.zip") for f in ("z.zip", "l.csv")]
    by_hand, raw, mirror = card.model_copy(update={"files": files}), tmp_path / "raw", tmp_path / "mirror"
    assert reason(by_hand, raw) == (
        "small: not here: z.zip must be fetched by hand (by the form of z); put it at DIR/small/z.zip and give "
        "mirror=DIR. l.csv must be fetched by hand (by the form of l); put it at DIR/small/l.csv and give mirror=DIR."
    )
    # one file of two is not enough; what else lies in the folder stays
    (raw / "small/note.txt").write_text("mine")
    (mirror / "small").mkdir(parents=True)
    (mirror / "small/z.zip").write_bytes(zipped(one=b"1"))
    why = reason(by_hand, raw, mirror)
    assert f"put it at {mirror}/small/l.csv." in why and "z.zip" not in why
    assert (raw / "small/note.txt").read_text() == "mine"
    (mirror / "small/l.csv").write_text("image,mos\n")
    assert reason(by_hand, raw, mirror) == "" and (raw / "small/one.txt").is_file()


def test_a_silent_host_a_refusal_and_a_web_page_are_absences_and_may_be_asked_again(card, server, tmp_path):
    raw, whole = tmp_path / "raw", server.files.pop("small.zip")
    assert f"{server.base}/small.zip: HTTP 404" in reason(card, raw)
    server.states = [500] * 4
    assert "HTTP Error 500: Internal Server Error; 4 attempts; put it at DIR/small/small.zip" in reason(card, raw)
    server.files["small.zip"], server.kind = b"<html>moved</html>", "text/html"
    why = reason(card, raw)
    assert "it gives a web page, not the file" in why and f"remove {raw / 'small/manifest.json'}" in why
    server.files["small.zip"], server.kind = whole, "application/zip"
    assert reason(card, raw) == "" and (raw / "small/one.txt").is_file()


def test_a_made_set_is_not_here_where_one_that_it_needs_is_not(card, server, tmp_path):
    server.files.clear()
    fetch.fetch(card, tmp_path / "raw", None)
    made = DatasetCard(
        name="made",
        path=tmp_path / "made.yaml",
        title="Made",
        family="authentic",
        make={"function": "none.py:none", "needs": ["small"]},
        citation="c",
        license="l",
    )
    assert reason(made, tmp_path / "raw").startswith("Made: not here: small: not here: http")


def test_of_files_that_hold_the_same_the_first_that_can_be_had_is_taken(card, server, tmp_path):
    absent = Download(filename="absent.zip", url=f"{server.base}/absent.zip", extract=True, alternative="release")
    by_hand = Download(filename="form.zip", manual="a form", extract=True, alternative="release")
    there = card.files[0].model_copy(update={"alternative": "release"})
    chosen = card.model_copy(update={"files": [absent, by_hand, there]})
    fetch.fetch(chosen, tmp_path / "raw", None)
    assert (tmp_path / "raw/small/one.txt").is_file()
    none = card.model_copy(update={"files": [absent, by_hand]})
    why = reason(none, tmp_path / "other")
    assert re.search(r"HTTP 404.*, or form\.zip must be fetched by hand", why)
    (tmp_path / "mirror/small").mkdir(parents=True)
    (tmp_path / "mirror/small/form.zip").write_bytes(zipped(form=b"1"))
    server.requests.clear()
    fetch.fetch(chosen, tmp_path / "third", tmp_path / "mirror")
    assert (tmp_path / "third/small/form.txt").is_file() and not server.requests


def test_a_file_name_stays_inside(tmp_path):
    with pytest.raises(ValueError, match="not a path inside"):
        Download(filename="../x", url="https://x/")
    with pytest.raises(ValueError, match="http://x/ is not https"):
        Download(filename="x", url="http://x/")


def test_an_own_folder_is_linked_not_copied(tmp_path):
    mine = tmp_path / "mine"
    (mine / "pics").mkdir(parents=True)
    (tmp_path / "own.yaml").write_text(
        f"title: t\nfamily: authentic\nfolder: {mine}\nlabels: {{file: s, range: [0, 1]}}\ncitation: c\nlicense: l\n"
    )
    own = read_card(DatasetCard, tmp_path / "own.yaml")
    fetch.fetch(own, tmp_path / "raw", None)
    assert os.path.samefile(tmp_path / "raw/own/folder/pics", mine / "pics")
    mine.rename(tmp_path / "moved")
    with pytest.raises(FetchError, match=r"mine: no such folder; correct `folder` in the card"):
        fetch.fetch(own, tmp_path / "raw", None)


def test_nothing_is_written_into_an_own_folder(tmp_path):
    """A folder with a manifest.json of its own, and one inside of the folder that is replaced."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "manifest.json").write_text("mine")
    card = "title: t\nfamily: authentic\nfolder: {}\nlabels: {{file: s, range: [0, 1]}}\ncitation: c\nlicense: l\n"
    (tmp_path / "own.yaml").write_text(card.format(mine))
    own = read_card(DatasetCard, tmp_path / "own.yaml")
    for _ in range(2):
        fetch.fetch(own, tmp_path / "raw", None)
    assert [(p.name, p.read_text()) for p in mine.iterdir()] == [("manifest.json", "mine")]
    for folder in ("raw/own", "raw/own/photos", "."):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "a.png").touch()
        inside = own.model_copy(update={"folder": tmp_path / folder})
        with pytest.raises(FetchError, match="must not lie in each other"):
            fetch.fetch(inside, tmp_path / "raw", None)
        assert (tmp_path / folder / "a.png").is_file()


def test_a_card_has_one_origin(card, tmp_path):
    (tmp_path / "x.yaml").write_text(card.path.read_text() + "folder: /somewhere\n")
    with pytest.raises(CardError, match="exactly one of files, make, folder"):
        read_card(DatasetCard, tmp_path / "x.yaml")


# a small disk


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A disk of `disk.size` bytes below tmp_path/raw."""

    class Disk:
        size = 0

    def usage(_):
        used = sum(p.stat().st_size for p in (tmp_path / "raw").rglob("*") if p.is_file())
        return namedtuple("usage", "total used free")(Disk.size, used, download.RESERVE + Disk.size - used)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return Disk


def releases(form: str) -> tuple[bytes, int]:
    """An archive of twenty files, and how many bytes they have."""
    contents = {f"{i}.png": os.urandom(30_000) for i in range(20)}
    out = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(out, "w") as z:
            for name, content in contents.items():
                z.writestr(name, content)
    else:
        with tarfile.open(fileobj=out, mode=form) as t:
            for name, content in contents.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                t.addfile(info, io.BytesIO(content))
    return out.getvalue(), 600_000


@pytest.mark.parametrize("form", ["zip", "w", "w:gz"])
def test_room_is_asked_for_what_is_still_to_be_written(card, server, tmp_path, disk, form):
    whole, unpacked = releases(form)
    server.files["small.zip"] = whole
    # 1.2 times the free space: not one byte is fetched
    disk.size = round(len(whole) / 1.2)
    with pytest.raises(FetchError, match=r"small\.zip needs .* are free"):
        fetch.fetch(card, tmp_path / "raw", None)
    assert not [p for p in tmp_path.rglob("*.part") if p.stat().st_size]
    # room for the archive alone: it stays, and is not fetched again
    disk.size = round(1.5 * len(whole))
    with pytest.raises(FetchError, match=r"unpacking small\.zip needs"):
        fetch.fetch(card, tmp_path / "raw", None)
    assert (tmp_path / "raw/.downloads/small/small.zip").read_bytes() == whole
    server.requests.clear()
    disk.size = round(1.05 * (len(whole) + unpacked))
    fetch.fetch(card, tmp_path / "raw", None)
    assert len(list((tmp_path / "raw/small").glob("*.png"))) == 20 and not server.requests


def test_a_download_goes_for_damage_alone(card, server, tmp_path, monkeypatch):
    kept = tmp_path / "raw/.downloads/small/small.zip"
    monkeypatch.setattr(archive, "MIN_LIMIT", 0)
    monkeypatch.setattr(archive, "MAX_RATIO", 1)
    server.files["small.zip"] = zipped(zeros=bytes(100_000))
    with pytest.raises(FetchError, match="decompression bomb"):
        fetch.fetch(card, tmp_path / "raw", None)
    assert kept.is_file()
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(FetchError, match="damaged or truncated"):
        fetch.fetch(card, tmp_path / "raw", None)
    assert not kept.is_file()
