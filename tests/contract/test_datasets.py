"""Every dataset card against small archives in the layouts that its release comes in.

Each archive is served by a real HTTP server and goes through download, verification, extraction, index and
splits. Only counts and addresses of the card are changed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qualiclip.bench.cards.base import DATASETS, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.data import download, fetch, index
from tests.support.commands import ROOT
from tests.support.fake_releases import RELEASES, N, clive, csv, packed, small, spaq
from tests.support.http_server import serving

CARDS = {p.stem: read_card(DatasetCard, p) for p in sorted((ROOT / DATASETS).glob("*.yaml"))}
ARCHIVES = [(c.name, f.filename) for c in CARDS.values() for f in c.files if f.extract]


def test_every_card_that_downloads_is_tested():
    assert {name for name, card in CARDS.items() if card.files} == set(RELEASES)


@pytest.mark.parametrize(("name", "archive"), ARCHIVES, ids=[f"{n}-{a}" for n, a in ARCHIVES])
def test_a_release_becomes_an_index(name, archive, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(download, "DELAYS", (0,))
    release = RELEASES[name](archive)
    with serving() as server:
        server.files = {n: c if isinstance(c, bytes) else packed(n, c) for n, c in release.files.items()}
        server.cuts = [100]
        card = small(CARDS[name], archive, release, server.base)
        fetch.fetch(card, tmp_path, None)
    table = index.build(card, tmp_path / name)
    assert len(table) == N
    for ending, values in release.rows.items():
        rows = table[table["image"].str.endswith(ending)]
        assert len(rows) == 1, ending
        for column, value in values.items():
            assert rows[column].iloc[0] == (pytest.approx(value) if isinstance(value, float) else value), column
    assert all((tmp_path / name / f).is_file() for f in table["image"])
    parts = [c for c in table if c.startswith("split_")]
    if card.labels is None:
        assert not parts
        return
    # one published split, ten seeded ones, or, with fewer than ten groups, one for each
    assert len(parts) in (1, 10, table[card.splits.by].nunique() if card.splits.by else 10)
    given = None if card.splits.use == "seeded" else getattr(card.splits, card.splits.use)
    for column in parts:
        if given and given.counts:
            assert tuple((table[column] == p).sum() for p in ("train", "val", "test")) == given.counts
        if card.splits.by:
            assert (table.groupby(card.splits.by)[column].nunique() == 1).all()


def test_rows_of_split_files_are_rows_of_the_label_file(tmp_path):
    """CLIVE's rows are counted after its seven training images, in the order of the release."""
    release = clive("ChallengeDB_release.zip")
    with serving() as server:
        server.files = {n: c if isinstance(c, bytes) else packed(n, c) for n, c in release.files.items()}
        card = small(CARDS["clive"], "ChallengeDB_release.zip", release, server.base)
        fetch.fetch(card, tmp_path, None)
    table = index.build(card, tmp_path / "clive")
    first = np.load(tmp_path / "clive/splits/test.npy")[0]
    tested = [f"{100 + i}." for i in first[first >= 0]]
    names = table["image"][table["split_00"] == "test"].str.split("/").str[-1]
    assert [n[:4] for n in names] == tested


def test_labels_alone_stand_in_for_a_release_only_where_they_are_asked_for(tmp_path):
    card = CARDS["spaq"]
    table = next(f.filename for f in card.files if f.labels_only)
    assert table not in {f.filename for f in card.wanted_files(labels_only=False)}
    assert {f.filename for f in card.wanted_files(labels_only=True) if f.alternative} == {table}
    assert card.raw_digest(labels_only=True) != card.raw_digest()
    release, mirror = spaq("SPAQ.zip"), tmp_path / "mirror/spaq"
    small_card = small(card, "SPAQ.zip", release, "http://localhost")
    alone = next(f for f in card.files if f.labels_only).model_copy(update={"mirror": None})
    files = [f for f in small_card.files if f.alternative is None]
    small_card = small_card.model_copy(update={"files": [alone, *files]})
    lines = [f"{i:05d}.jpg,{5 * i}" for i in range(1, N + 1)]
    for name, content in {**release.files, table: csv("Image name,mos", *lines)}.items():
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_bytes(content if isinstance(content, bytes) else b"")
    fetch.fetch(small_card, tmp_path / "raw", mirror.parent, labels_only=True)
    labels = index.labelled(small_card, tmp_path / "raw/spaq")
    assert labels["image"].tolist() == [f"{i:05d}.jpg" for i in range(1, N + 1)] and labels["mos"].tolist()[1] == 10


REAL = {"agiqa3k": (2982, 0), "clive": (627, 535), "bsds500": (500, 0)}


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_real_images(name, mirror, tmp_path):
    card = CARDS[name]
    fetch.fetch(card, tmp_path, mirror)
    table = index.build(card, tmp_path / name, allow_missing=True)
    assert (len(table), card.images.count - len(table)) == REAL[name]
    if card.splits and card.splits.by:
        parts = [c for c in table if c.startswith("split_")]
        assert (table.groupby(card.splits.by)[parts].nunique() == 1).all(axis=None)


TABLES = {"koniq10k": 10073, "flive": 39810, "agiqa1k": 1080}


@pytest.mark.realdata
@pytest.mark.parametrize("name", TABLES)
def test_real_label_tables(name, mirror, tmp_path):
    """Parsed whole, with the authors' splits attached; `labelled` checks their counts."""
    card = CARDS[name]
    for item in card.files:
        if not item.extract:
            target = tmp_path / item.filename
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(item.in_mirror(name, mirror).read_bytes())
    assert len(index.read_labels(card, tmp_path)) == TABLES[name]
    assert len(index.labelled(card, tmp_path)) == card.images.count
