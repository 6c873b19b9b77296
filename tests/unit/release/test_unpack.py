"""Unpacking a release: what is damaged, harmful or of another kind is refused, and named."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.release import read_release
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.release import unpack as job
from qualiclip.bench.release.pack import pack
from qualiclip.bench.release.unpack import unpack
from qualiclip.io import DamagedFile

SCORES = "scores/a/myset.csv"


@pytest.fixture
def archive(run, tmp_path) -> Path:
    pack(run, run.config, tmp_path / "good.zip")
    return tmp_path / "good.zip"


def changed(archive: Path, files: dict[str, bytes | None], **manifest) -> Path:
    """A copy with other members (None: without) and other keys in its manifest."""
    with zipfile.ZipFile(archive) as z:
        content = {n: z.read(n) for n in z.namelist()}
    content["release.json"] = json.dumps(json.loads(content["release.json"]) | manifest).encode()
    out = archive.with_name("changed.zip")
    with zipfile.ZipFile(out, "w") as z:
        for name, data in (content | files).items():
            if data is not None:
                z.writestr(name, data)
    return out


def refused(archive: Path, tmp_path: Path, error: type[Exception], match: str) -> None:
    """Nothing is left of an archive that is refused."""
    with pytest.raises(error, match=match):
        unpack(archive, tmp_path / "out")
    assert not [f for f in (tmp_path / "out").rglob("*") if f.is_file()]


def test_a_changed_score_is_named(archive, tmp_path):
    with zipfile.ZipFile(archive) as z:
        text = z.read(SCORES)
    spoilt = changed(archive, {SCORES: text[:-2] + bytes([text[-2] ^ 1]) + text[-1:]})
    refused(spoilt, tmp_path, DamagedFile, f"changed.zip: {SCORES} is not the file that its SHA-256 says")


def test_members_are_those_of_the_manifest(archive, tmp_path):
    refused(changed(archive, {"scores/x.csv": b""}), tmp_path, DamagedFile, "scores/x.csv is not a member that its")
    refused(changed(archive, {SCORES: None}), tmp_path, DamagedFile, f"{SCORES} is missing")
    twice = changed(archive, {})
    with pytest.warns(UserWarning), zipfile.ZipFile(twice, "a") as z:
        z.writestr(SCORES, b"")
    refused(twice, tmp_path, DamagedFile, "a member is there twice")


@pytest.mark.parametrize(
    "name",
    ["/etc/x.csv", "../x.csv", "scores/../../x.csv", "scores\\x.csv", "qualiclip/x.csv", "scores/x.py", "tables/x.csv",
     "scores/{x}.csv", "scores/.x.csv", "scores/a/x.csv/", "release.json"],
)  # fmt: skip
def test_a_manifest_names_nothing_but_files_of_a_run(archive, tmp_path, name):
    members = read_release(archive).members | {name: "0" * 64}
    refused(changed(archive, {}, members=members), tmp_path, CardError, "is no file that a release may hold")


def test_a_link_is_refused(archive, tmp_path):
    link = zipfile.ZipInfo(SCORES)
    link.external_attr = 0o120777 << 16
    spoilt = changed(archive, {SCORES: None})
    with zipfile.ZipFile(spoilt, "a") as z:
        z.writestr(link, "/etc/passwd")
    refused(spoilt, tmp_path, DamagedFile, f"{SCORES} is a link")


def test_a_bomb_is_refused(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "LARGEST", 100_000)
    refused(changed(archive, {SCORES: bytes(100_001)}), tmp_path, DamagedFile, f"{SCORES} is larger than")


def test_what_is_no_release_is_refused(archive, tmp_path):
    refused(tmp_path / "none.zip", tmp_path, CardError, "there is no such file")
    refused(changed(archive, {"release.json": b"{"}), tmp_path, CardError, "not a whole release of scores")
    refused(changed(archive, {"release.json": None}), tmp_path, CardError, "not a whole release of scores")
    refused(changed(archive, {}, protocol=99), tmp_path, CardError, "follows protocol 99, this code 1; use the code")
    refused(changed(archive, {}, surprise=1), tmp_path, CardError, "unknown key 'surprise'")
    (tmp_path / "cut.zip").write_bytes(archive.read_bytes()[:-100])
    refused(tmp_path / "cut.zip", tmp_path, CardError, "not a whole release of scores")


def test_damage_inside_is_found(archive, tmp_path):
    body = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as z:
        info = z.getinfo(SCORES)
    body[info.header_offset + 30 + len(SCORES) + 20] ^= 255
    (tmp_path / "spoilt.zip").write_bytes(body)
    refused(tmp_path / "spoilt.zip", tmp_path, FetchError, r"spoilt\.zip: damaged")


def test_a_release_chooses_no_place_on_this_machine(archive, tmp_path):
    config = read_release(archive).config
    other = changed(archive, {}, config=config | {"results": "/", "mirror": "/", "trust": ["a"]})
    loaded = load_config({"release": str(other), "results": str(tmp_path)})
    assert (loaded.results, loaded.mirror, loaded.trust) == (tmp_path, None, [])
    with pytest.raises(CardError, match="scale"):
        load_config({"release": str(changed(archive, {}, config=config | {"scale": "../up"}))})
