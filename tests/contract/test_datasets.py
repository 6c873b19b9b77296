"""Every dataset card against small archives in the layouts that its release comes in.

Each archive is served by a real HTTP server and goes through download, verification, extraction, index and
splits. Only counts and addresses of the card are changed.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from qualiclip.bench import download, fetch, index
from qualiclip.bench.cards import DatasetCard, read_card
from qualiclip.bench.workspace import DATASETS
from tests.conftest import ROOT
from tests.loopback import serving

N = 10
COUNTS = (6, 1, 3)


@dataclass
class Release:
    """Files as a download brings them, and what the index must say of some images (the end of their name)."""

    files: dict[str, bytes | dict[str, bytes]]
    rows: dict[str, dict[str, object]]
    count: int = N
    splits: dict[str, tuple[int, int, int]] = field(default_factory=dict)


def picture(name: str) -> bytes:
    out = io.BytesIO()
    kind = {"jpg": "JPEG", "bmp": "BMP", "png": "PNG"}[name.rsplit(".", 1)[1].lower()]
    Image.new("RGB", (12, 8), "green").save(out, kind)
    return out.getvalue()


def pictures(folder: str, names: list[str]) -> dict[str, bytes]:
    return {f"{folder}/{n}": picture(n) for n in names}


def csv(*rows: str, bom: bool = False) -> bytes:
    return ("\n".join(rows) + "\n").encode("utf-8-sig" if bom else "utf-8")


def xlsx(table: pd.DataFrame, **how) -> bytes:
    out = io.BytesIO()
    table.to_excel(out, index=False, **how)
    return out.getvalue()


def mat(**variables) -> bytes:
    out = io.BytesIO()
    savemat(out, variables)
    return out.getvalue()


def cells(names: list[str]) -> np.ndarray:
    return np.array([[n] for n in names], object)


def packed(name: str, members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(out, "w") as z:
            for member, content in members.items():
                z.writestr(member, content)
    else:
        with tarfile.open(fileobj=out, mode="w:gz" if name.endswith("gz") else "w") as t:
            for member, content in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                t.addfile(info, io.BytesIO(content))
    return out.getvalue()


def published(flat: bool = False) -> dict[str, bytes]:
    """Split files for N images: padded rows of ten splits, or one flat row."""
    rng, parts = np.random.default_rng(0), ([], [], [])
    for _ in range(10):
        order = rng.permutation(N)
        for rows, part in zip(parts, np.split(order, np.cumsum(COUNTS)[:-1]), strict=True):
            rows.append(np.pad(np.sort(part), (0, 2), constant_values=-1))
    out = {}
    for name, rows in zip(("train", "val", "test"), parts, strict=True):
        buffer = io.BytesIO()
        np.save(buffer, np.array(rows[0] if flat else rows))
        out[f"splits/{name}.npy"] = buffer.getvalue()
    return out


def koniq10k(archive: str) -> Release:
    names = [f"{i}00{i}.jpg" for i in range(N)]
    rows = [f"{n},0,0,1,0,0,100,{40 + i},0.5,{'test' if i > 6 else 'training'}" for i, n in enumerate(names)]
    top = "koniq10k/" if archive.endswith("tgz") else ""
    held = pictures(f"{top}1024x768", names) | (pictures(f"{top}512x384", names) if top else {})
    labels = csv("image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set", *rows)
    files = {archive: held, "koniq10k_distributions_sets.csv": labels, **published()}
    return Release(files, {"1024x768/3003.jpg": {"mos": 43, "std": 0.5}})


def clive(archive: str) -> Release:
    names = [f"t{i}.bmp" for i in range(1, 8)] + [f"{100 + i}.{'bmp' if i % 2 else 'JPG'}" for i in range(N)]
    top = "LIVEC" if archive.endswith("tgz") else "ChallengeDB_release"
    held = pictures(f"{top}/Images", [n.lower() for n in names[7:]])
    held |= pictures(f"{top}/Images/trainingImages", names[:7])
    held[f"{top}/Data/AllImages_release.mat"] = mat(AllImages_release=cells(names))
    held[f"{top}/Data/AllMOS_release.mat"] = mat(AllMOS_release=np.arange(17.0)[None])
    held[f"{top}/Data/AllStdDev_release.mat"] = mat(AllStdDev_release=np.full((1, 17), 20.0))
    return Release({archive: held, **published()}, {"Images/102.jpg": {"mos": 9, "std": 20}})


def flive(archive: str) -> Release:
    names = ["EE371R/a b.jpg", "blur_dataset/m.JPG", *(f"voc_emotic_ava/AVA__{i}.jpg" for i in range(N - 2))]
    top = "FLIVE_Database/database" if archive.endswith("tgz") else "database"
    labels = csv("name,mos", *(f"{n},{70 + i}" for i, n in enumerate(names)))
    files = {archive: pictures(top, names), "labels_image.csv": labels, **published(flat=True)}
    return Release(files, {"EE371R/a b.jpg": {"mos": 70}, "blur_dataset/m.JPG": {"mos": 71}})


def spaq(archive: str) -> Release:
    names = [f"{i:05d}.jpg" for i in range(1, N + 1)]
    top = "SPAQ/" if archive.endswith("tgz") else ""
    table = pd.DataFrame({"Image name": names, "MOS": np.linspace(10, 100, N), "Brightness": 1.0})
    held = pictures(f"{top}TestImage", names) | {f"{top}Annotations/MOS and Image attribute scores.xlsx": xlsx(table)}
    return Release({archive: held, **published()}, {"TestImage/00002.jpg": {"mos": 20}})


def cviu(archive: str) -> Release:
    names = [f"{r}_bicubic_{s}.bmp" for r in range(5) for s in (2, 3)]
    labels = csv("image,mos,ref", *(f"{n},{i / 2},{n[0]}" for i, n in enumerate(names)), bom=True)
    return Release({archive: pictures("SR", names), "cviu_scores.csv": labels}, {"SR/1_bicubic_3.bmp": {"mos": 1.5}})


def pipal(archive: str) -> Release:
    names = [f"A000{r}_00_0{i}.bmp" for r in range(5) for i in range(2)]
    top, images = ("PIPAL/", "Dist_Imgs") if archive.endswith("tar") else ("", "Train_Dist")
    held = pictures(f"{top}{images}", names)
    for r in range(5):
        lines = [f"{n},{1400 + i}.5" for i, n in enumerate(names) if n.startswith(f"A000{r}")]
        held[f"{top}Train_Label/A000{r}.txt"] = csv(*lines)
    return Release({archive: held}, {"A0003_00_01.bmp": {"mos": 1407.5, "ref": "A0003"}})


def agiqa1k(archive: str) -> Release:
    names = [f"deepai_{i}_0_0_0.jpg" for i in range(N)]
    rows = [*names, "dreamStudio_8_9_1_1.jpg", "dreamStudio_8_9_1_1.jpg"]
    table = pd.DataFrame({"Image": rows, "Prompt": [f"bird {i // 2} " for i in range(12)], "MOS": np.arange(12) / 3})
    held = pictures("file", [*names, "dreamStudio_8_9_1_1.jpg"])
    return Release({archive: held, "AIGC_MOS_Zscore.xlsx": xlsx(table)}, {names[3]: {"mos": 1, "group": "bird 1"}})


def agiqa3k(archive: str) -> Release:
    names = [f"{m}_normal_00{i}.jpg" for m in ("AttnGAN", "sd1.5") for i in range(5)]
    rows = [f"{n},a tray of {n[-5]},,,,{i / 4},0.2,1,0.5" for i, n in enumerate(names)]
    labels = csv("name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align", *rows)
    wanted = {"AGIQA-3K/sd1.5_normal_001.jpg": {"mos": 1.5, "std": 0.2, "group": "a tray of 1"}}
    return Release({archive: pictures("AGIQA-3K", names), "data.csv": labels}, wanted)


def kadid10k(archive: str) -> Release:
    names = [f"I0{r}_0{t}_01.png" for r in range(1, 6) for t in (1, 2)]
    labels = csv("dist_img,ref_img,dmos,var", *(f"{n},{n[:3]}.png,{1 + i / 4},0.5" for i, n in enumerate(names)))
    held = pictures("kadid10k/images", [*names, "I01.png"]) | {"kadid10k/dmos.csv": labels}
    return Release({archive: held}, {"I02_01_01.png": {"mos": 1.5, "ref": "I02.png"}})


def tid2013(archive: str) -> Release:
    names = [f"I0{r}_0{t}_1.bmp" for r in range(1, 6) for t in (1, 2)]
    held = pictures("tid2013/distorted_images", [n.replace("I", "i").upper() for n in names[:5]] + names[5:])
    held |= pictures("tid2013/reference_images", ["I01.BMP"])
    lines = [f"{5 + i / 4:.5f} {n if i % 2 else n.replace('I', 'i')}" for i, n in enumerate(names)]
    held["tid2013/mos_with_names.txt"] = csv(*lines).replace(b"\n", b"\r\n")
    return Release({archive: held}, {"I02_01_1.BMP": {"mos": 5.5, "ref": "I02"}})


def csiq(archive: str) -> Release:
    refs, kinds = ["1600", "boston"], {"noise": "AWGN", "jpeg 2000": "jpeg2000", "fnoise": "fnoise"}
    rows = [(r, k, level) for r in refs for k in kinds for level in (1, 2)][:N]
    names = [f"{r}.{kinds[k]}.{level}.png" for r, k, level in rows]
    dmos = [i / 20 for i in range(N)]
    if archive.endswith("tgz"):
        held = pictures("CSIQ/dst_imgs", names) | pictures("CSIQ/src_imgs", ["1600.png"])
        held["CSIQ/csiq_label.txt"] = csv(*(f"{n}\t{d}" for n, d in zip(names, dmos, strict=True)))
    else:
        held = {f"dst_imgs/{n.split('.')[1].lower()}/{n}": picture(n) for n in names}
        columns = ["image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"]
        table = pd.DataFrame(
            [(int(r) if r.isdigit() else r, 1, k, level, 0.1, d) for (r, k, level), d in zip(rows, dmos, strict=True)],
            columns=columns,
        )
        held["csiq.DMOS.xlsx"] = xlsx(table, sheet_name="all_by_image", startrow=3, startcol=3)
    return Release({archive: held}, {"1600.jpeg2000.1.png": {"mos": 0.1, "ref": "1600"}})


def live(archive: str) -> Release:
    top = "LIVEIQA_release2" if archive.endswith("tgz") else "databaserelease2"
    folders = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
    names = [f"{f}/img{i}.bmp" for f, n in folders.items() for i in range(1, n + 1)]
    original = np.zeros((1, len(names)))
    original[0, 30:50] = 1
    held = pictures(top, names) | pictures(f"{top}/refimgs", ["bikes.bmp"])
    held[f"{top}/dmos.mat"] = mat(dmos=np.linspace(0, 98.1, len(names))[None], orgs=original)
    references = np.array([[f"ref{i % 29}.bmp" for i in range(len(names))]], object)
    held[f"{top}/refnames_all.mat"] = mat(refnames_all=references)
    wanted = {"jpeg/img1.bmp": {"mos": 22.7, "ref": f"ref{227 % 29}.bmp"}}
    return Release({archive: held}, wanted, count=len(names) - 20)


def biq2021(archive: str) -> Release:
    names = [f"ss0{1 + i % 3} ({i}).jpg" for i in range(N)]
    top = "BIQ2021-62c7b40c036b68ee280626409699aa5c1a37fe57"
    held = pictures(f"{top}/Images", [*names[:9], names[9].replace("jpg", "JPG")])
    rows = [f"{n},0.{i}" for i, n in enumerate(names)]
    held[f"{top}/Train (Images and MOS).csv"] = csv("Image Name,MOS,,", *(f"{r},," for r in rows[:7]), ",,,")
    held[f"{top}/Test (Images and MOS).csv"] = csv("Image Name,MOS", *rows[7:], bom=True)
    held[f"{top}/Train.csv"] = csv("Image Name,MOS", *rows)
    return Release({archive: held}, {"ss01 (9).JPG": {"mos": 0.9, "split_official": "test"}}, splits={"o": (7, 0, 3)})


def kadis700k(archive: str) -> Release:
    held = pictures("kadis700k/ref_imgs", [f"{i}.png" for i in range(N)]) | pictures("kadis700k/dist_imgs", ["x.png"])
    return Release({archive: held}, {"ref_imgs/3.png": {"width": 12}})


def bsds500(archive: str) -> Release:
    top = "BSDS500-a04b7c6c3a9f0ace74bf205c72a43d32e1c72722/BSDS500/data"
    names = [f"{part}/{i}.jpg" for part in ("train", "test") for i in range(5)]
    held = pictures(f"{top}/images", names) | {f"{top}/images/train/Thumbs.db": b"x"} | pictures(top, ["y.jpg"])
    return Release({archive: held}, {"train/1.jpg": {"height": 8}, "test/1.jpg": {"width": 12}})


def waterloo(archive: str) -> Release:
    top = "exploration_database_and_code"
    return Release({archive: pictures(f"{top}/pristine_images", [f"{i:05d}.bmp" for i in range(N)])}, {"00003.bmp": {}})


RELEASES: dict[str, Callable[[str], Release]] = {
    f.__name__: f for f in (agiqa1k, agiqa3k, biq2021, bsds500, clive, csiq, cviu, flive, kadid10k, kadis700k, koniq10k)
} | {f.__name__: f for f in (live, pipal, spaq, tid2013, waterloo)}

CARDS = {p.stem: read_card(DatasetCard, p) for p in sorted((ROOT / DATASETS).glob("*.yaml"))}
ARCHIVES = [(c.name, f.filename) for c in CARDS.values() for f in c.files if f.extract]


def small(card: DatasetCard, archive: str, release: Release, base: str) -> DatasetCard:
    """The card with the addresses and counts of a small release, and no other way to get it than `archive`."""
    chosen = next(f for f in card.files if f.filename == archive)
    files = []
    for item in card.files:
        if item.filename == archive or item.either is None or item.either != chosen.either:
            content = release.files[item.filename]
            found = hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else None
            place = {"url": f"{base}/{item.filename}".replace(" ", "%20"), "sha256": found}
            files.append(item.model_copy(update={"gdrive": None, "huggingface": None, "manual": None, **place}))
    splits = card.splits
    for kind in ("published", "official"):
        if splits and getattr(splits, kind):
            counts = release.splits.get("o", COUNTS if kind == "published" else (7, 0, 3))
            splits = splits.model_copy(update={kind: getattr(splits, kind).model_copy(update={"counts": counts})})
    images = card.images.model_copy(update={"count": release.count})
    return card.model_copy(update={"files": files, "images": images, "splits": splits})


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
    assert len(table) == release.count
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
    assert len(parts) in (1, 10)
    kind = getattr(card.splits, card.splits.kind, None)
    for column in parts:
        if kind:
            assert tuple((table[column] == p).sum() for p in ("train", "val", "test")) == kind.counts
        if card.splits.by:
            assert (table.groupby(card.splits.by)[column].nunique() == 1).all()


def test_published_rows_are_rows_of_the_label_file(tmp_path):
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
    assert {f.filename for f in card.wanted_files(labels_only=True) if f.either} == {table}
    assert card.raw_digest(labels_only=True) != card.raw_digest()
    release, mirror = spaq("SPAQ.zip"), tmp_path / "mirror/spaq"
    small_card = small(card, "SPAQ.zip", release, "http://localhost")
    alone = next(f for f in card.files if f.labels_only).model_copy(update={"mirror": None})
    files = [f for f in small_card.files if f.either is None]
    small_card = small_card.model_copy(update={"files": [alone, *files]})
    lines = [f"{i:05d}.jpg,{10 * i}" for i in range(1, N + 1)]
    for name, content in {**release.files, table: csv("Image name,mos", *lines)}.items():
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_bytes(content if isinstance(content, bytes) else b"")
    fetch.fetch(small_card, tmp_path / "raw", mirror.parent, labels_only=True)
    found = index.labelled(small_card, tmp_path / "raw/spaq")
    assert found["image"].tolist() == [f"{i:05d}.jpg" for i in range(1, N + 1)] and found["mos"].tolist()[1] == 20


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
            target.write_bytes(fetch.in_mirror(name, item, mirror).read_bytes())
    assert len(index.read_labels(card, tmp_path)) == TABLES[name]
    assert len(index.labelled(card, tmp_path)) == card.images.count
