"""Weights by name, and what ships: scores of sample images that every platform must give."""

from __future__ import annotations

import email.message
import io
import shutil
import urllib.error
import urllib.request

import pytest
import torch

from qualiclip import cli, pretrained, release
from qualiclip.config import TRAIN_RECORD, WEIGHTS
from qualiclip.io import read_json, sha256
from qualiclip.model import QualiCLIP
from qualiclip.pretrained import AUTHORS_RELEASE, RELEASED, WeightsError

SENT = b"weights" * 1000


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where the authors' file goes."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub/checkpoints/qualiclip.pth"


def server(monkeypatch, content=SENT, kind="application/octet-stream", length=None):
    """Every address gives this content."""

    def urlopen(url, timeout):
        response = io.BytesIO(content)
        response.url, response.headers = url, email.message.Message()
        response.headers["Content-Type"], response.headers["Content-Length"] = kind, str(length or len(content))
        return response

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)


def test_the_authors_file_is_fetched_once_and_its_licence_said_before(cache, monkeypatch, capsys):
    server(monkeypatch)
    assert pretrained.locate(RELEASED) == cache and cache.read_bytes() == SENT
    first, second = capsys.readouterr().err.splitlines()
    assert AUTHORS_RELEASE in first and "0 MB" in first and "CC BY-NC 4.0" in first
    assert sha256(cache) in second
    monkeypatch.setattr(urllib.request, "urlopen", None)
    assert pretrained.locate(RELEASED) == cache and not capsys.readouterr().err


@pytest.mark.parametrize(
    "fault", [{"length": len(SENT) + 1}, {"kind": "text/html"}], ids=["cut short", "a page in place of the file"]
)
def test_what_is_not_the_whole_file_leaves_nothing(cache, monkeypatch, fault):
    server(monkeypatch, **fault)
    with pytest.raises(WeightsError, match="cannot be fetched"):
        pretrained.locate(RELEASED)
    assert not list(cache.parent.iterdir())


def test_without_a_network_one_line_says_what_to_do(cache, monkeypatch, capsys, tmp_path):
    def urlopen(url, timeout):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    (tmp_path / "a.png").touch()
    assert cli.main(["score", str(tmp_path / "a.png"), "--weights", RELEASED]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Name or service not known" in line and f"fetch {AUTHORS_RELEASE} and name the file: --weights" in line


def test_a_folder_of_the_package_is_a_name(checkpoint, tmp_path, monkeypatch):
    shutil.copytree(checkpoint, tmp_path / "mine")
    (tmp_path / "card only").mkdir()
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path)
    assert pretrained.names() == ["mine", RELEASED]
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(
        QualiCLIP.from_pretrained("mine").score(images), QualiCLIP.from_checkpoint(checkpoint).score(images)
    )
    with pytest.raises(WeightsError, match="'other'; known: mine, released"):
        QualiCLIP.from_pretrained("other")


def test_packed_weights_give_the_scores_of_the_training(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(release, "SHIPPED", tmp_path)
    monkeypatch.setattr("sys.argv", ["release", "mine", str(checkpoint)])
    monkeypatch.setattr(release, "IMAGES", {"skimage.data": ["coins.png", "moon.png"]})
    assert release.main() == 0
    size = (tmp_path / "mine" / WEIGHTS).stat().st_size
    assert size < 0.51 * (checkpoint / WEIGHTS).stat().st_size
    assert "curve" not in (tmp_path / "mine" / TRAIN_RECORD).read_text()
    # a score that is off is seen
    file = tmp_path / "mine" / release.EXPECTED
    file.write_text(file.read_text().replace("moon.png,0.", "moon.png,1."))
    monkeypatch.setattr("sys.argv", ["release", "mine"])
    assert release.main() == 1


SHIPPED = [name for name in pretrained.names() if name != RELEASED]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_give_the_expected_scores(name):
    expected = release.expected_scores(pretrained.SHIPPED / name)
    assert len(expected) == 12
    assert release.sample_scores(QualiCLIP.from_pretrained(name)) == pytest.approx(expected, abs=release.TOLERANCE)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_have_a_card_and_learned_from_no_human_score(name):
    folder = pretrained.SHIPPED / name
    assert (folder / WEIGHTS).stat().st_size <= 4e6
    assert "human scores" in (folder / "model_card.md").read_text()
    assert read_json(folder / TRAIN_RECORD)["train"]["pretrained"] is None
