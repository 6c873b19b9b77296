"""Downloads from a faulty server and from other sources; the cache of weights."""

from __future__ import annotations

import functools
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from qualiclip.bench.cards.dataset import Download
from qualiclip.bench.data import download
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.methods import weights
from qualiclip.io import sha256
from tests.support.http_server import BODY, serving


def test_a_whole_file_is_downloaded(server, tmp_path):
    download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_cut_download_resumes_where_it_stopped(server, tmp_path):
    server.cuts = [300_000, 100_000, 0, 200_000]
    download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == BODY
    starts = [r for _, r in server.requests]
    assert starts == [None, "bytes=300000-", "bytes=400000-", "bytes=400000-", "bytes=600000-"]


def test_another_job_resumes_where_a_killed_one_stopped(server, tmp_path):
    server.cuts = [300_000, 0, 0, 0, 0]
    with pytest.raises(FetchError, match=r"received 300000 of 1024000 bytes; 4 attempts"):
        download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()
    server.cuts, server.requests = [], []
    download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == BODY and server.requests == [("a.bin", "bytes=300000-")]


def test_a_file_that_changed_meanwhile_is_not_patched_together(server, tmp_path):
    server.cuts = [300_000, 0, 0, 0]
    with pytest.raises(FetchError):
        download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    server.cuts, server.files["a.bin"] = [], BODY[::-1]
    download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == BODY[::-1]


@pytest.mark.parametrize("missing", ["ranges", "versions"])
def test_a_server_that_cannot_resume_is_asked_for_all_of_it_again(server, tmp_path, missing):
    setattr(server, missing, False)
    server.cuts = [300_000]
    download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_part_that_is_longer_than_the_file_is_dropped(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(BODY + b"more")
    (tmp_path / "a.bin.part.version").write_text(f'"{hash(BODY)}"')
    download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert [r for _, r in server.requests] == [f"bytes={len(BODY) + 4}-", None]


def test_404_is_final(server, tmp_path):
    with pytest.raises(FetchError, match=r"/none\.bin: HTTP 404"):
        download.from_http(f"{server.base}/none.bin", tmp_path / "none.bin")
    assert len(server.requests) == 1


def test_500_passes_or_not(server, tmp_path):
    server.states = [500, 503]
    download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert len(server.requests) == 3
    server.states = [500] * 9
    with pytest.raises(FetchError, match=r"HTTP Error 500.*4 attempts"):
        download.from_http(f"{server.base}/a.bin", tmp_path / "b.bin")


def test_pauses_grow(server, tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(download, "DELAYS", (1, 2, 4))
    monkeypatch.setattr(download.time, "sleep", slept.append)
    server.states = [500, 500, 500]
    download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert slept == [1, 2, 4]


def test_a_wrong_length_is_refused(server, tmp_path):
    server.longer = 7
    with pytest.raises(FetchError, match=r"received \d+ of \d+ bytes|does not fit the server's file"):
        download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()


def test_no_server_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "DELAYS", (0,))
    with serving() as s:
        gone = s.base
    with pytest.raises(FetchError, match="2 attempts"):
        download.from_http(f"{gone}/a.bin", tmp_path / "a.bin")


def test_disk_space_is_checked_first(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, download.RESERVE + 1000))
    with pytest.raises(FetchError, match=r"needs 0\.00 GB .* are free"):
        download.from_http(f"{server.base}/a.bin", tmp_path / "a.bin")
    assert not any(p.stat().st_size for p in tmp_path.glob("*.part"))


# other sources


def test_google_drive_and_its_refusal(tmp_path, monkeypatch):
    import gdown
    from gdown.exceptions import FileURLRetrievalError

    def download_by_id(id, output, resume):
        if id == "secret":
            raise FileURLRetrievalError("no permission")
        Path(output).write_bytes(b"file " + id.encode())
        return output

    monkeypatch.setattr(gdown, "download", download_by_id)
    download.download(Download(filename="a", gdrive="x1"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"file x1"
    with pytest.raises(FetchError, match="Google Drive id secret: no permission"):
        download.download(Download(filename="b", gdrive="secret"), tmp_path / "b")


def test_hugging_face_resumes_after_a_cut(server, tmp_path, monkeypatch):
    import huggingface_hub

    at_home = functools.partial(huggingface_hub.hf_hub_url, endpoint=server.base)
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", at_home)
    place = "datasets/owner/sets/resolve/main/sub/a.tgz"
    server.files[place], server.cuts = BODY, [1000]
    download.download(Download(filename="a.tgz", huggingface="owner/sets/sub/a.tgz"), tmp_path / "a.tgz")
    assert (tmp_path / "a.tgz").read_bytes() == BODY
    assert server.requests == [(place, None), (place, "bytes=1000-")]


# weights


def test_weights_come_from_cache_mirror_or_source(server, tmp_path):
    url = f"{server.base}/a.bin"
    path = weights.place("w.pth", tmp_path / "cache", url=url)
    assert path == tmp_path / "cache/w.pth" and path.read_bytes() == BODY
    weights.place("w.pth", tmp_path / "cache", url=url)
    assert len(server.requests) == 1
    (tmp_path / "mirror/pyiqa").mkdir(parents=True)
    (tmp_path / "mirror/pyiqa/v.pth").write_bytes(b"v")
    copy = weights.place("v.pth", tmp_path / "cache", tmp_path / "mirror", url=url)
    assert copy.read_bytes() == b"v" and copy.parent == tmp_path / "cache" and len(server.requests) == 1
    path.write_bytes(b"spoilt")
    with pytest.raises(FetchError, match=r"w\.pth could not be fetched .*SHA-256"):
        weights.place("w.pth", tmp_path / "cache", url=url)


def test_missing_weights_say_where_to_put_them(server, tmp_path):
    url, place = f"{server.base}/none.pth", tmp_path / "mirror/pyiqa/none.pth"
    with pytest.raises(FetchError, match=f"none.pth could not be fetched from {url}; put it at {place} "):
        weights.place("none.pth", tmp_path / "cache", tmp_path / "mirror", url=url)
    with pytest.raises(FetchError, match=r"put it at DIR/clip/none\.pth and give mirror=DIR"):
        weights.place("none.pth", tmp_path / "cache", library="clip", url=url)


@pytest.mark.realdata
def test_the_mirrors_parameters_of_niqe(mirror, tmp_path):
    path = weights.place("niqe_modelparameters.mat", tmp_path, mirror, url="http://127.0.0.1:9/none")
    assert sha256(path).startswith("fa2aa4d12dd9595c")
