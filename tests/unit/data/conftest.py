"""A server with faults, and a card whose release lies there."""

from __future__ import annotations

import pytest

from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.data import download
from tests.support.archives import zipped
from tests.support.http_server import BODY, serving

CARD = """
title: small
family: authentic
files: [{filename: small.zip, url: URL/small.zip, extract: true}]
citation: c
license: l
"""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "DELAYS", (0, 0, 0))
    with serving() as s:
        s.files["a.bin"] = BODY
        yield s


@pytest.fixture
def card(tmp_path, server) -> DatasetCard:
    server.files["small.zip"] = zipped(one=b"1", sub__two=b"2")
    (tmp_path / "small.yaml").write_text(CARD.replace("URL", server.base))
    return read_card(DatasetCard, tmp_path / "small.yaml")
