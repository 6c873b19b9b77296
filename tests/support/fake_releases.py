"""Small releases of every dataset card, in the native formats of their authors.

The contract tests serve them over HTTP, the rehearsal lays them into a mirror. Of a card, counts and the SHA-256
of pinned files alone become those of the small release.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from PIL import Image
from scipy.io import savemat

from qualiclip.bench.cards.dataset import DatasetCard, Download

N = 12
COUNTS, OFFICIAL = (1, 1, 10), (2, 0, 10)  # a test part of ten is the smallest that is correlated
REFERENCES = [(1, 1), (2, 1), *product(range(3, 8), (1, 2))]  # reference and type of N images of a synthetic set


@dataclass
class Release:
    """Files as a download brings them, and what the index must say of some images (the end of their name).

    An archive is its members; None stands for a picture, painted when it is packed.
    """

    files: dict[str, bytes | dict[str, bytes | None]]
    rows: dict[str, dict[str, object]]


def picture(name: str, size: tuple[int, int] = (12, 8)) -> bytes:
    """Soft colours under noise, drawn from the name; size: width and height, px."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    soft = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noisy = np.asarray(soft, float) + rng.uniform(0, 30) * rng.standard_normal((*size[::-1], 3))
    out = io.BytesIO()
    form = {"jpg": "JPEG", "bmp": "BMP", "png": "PNG"}[name.rsplit(".", 1)[1].lower()]
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, form)
    return out.getvalue()


def pictures(folder: str, names: list[str]) -> dict[str, None]:
    return dict.fromkeys(f"{folder}/{n}" for n in names)


def csv(*rows: str, bom: bool = False) -> bytes:
    return ("\n".join(rows) + "\n").encode("utf-8-sig" if bom else "utf-8")


def xlsx(table: pd.DataFrame, **options) -> bytes:
    out = io.BytesIO()
    table.to_excel(out, index=False, **options)
    return out.getvalue()


def mat(**variables) -> bytes:
    out = io.BytesIO()
    savemat(out, variables)
    return out.getvalue()


def cells(names: list[str]) -> np.ndarray:
    return np.array([[n] for n in names], object)


def packed(name: str, members: dict[str, bytes | None], size: tuple[int, int] = (12, 8)) -> bytes:
    """The archive `name` (zip, tar, tgz) with its pictures of `size`, the same bytes every time."""
    members = {m: picture(m, size) if content is None else content for m, content in members.items()}
    out = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(out, "w") as z:
            for member, content in members.items():
                z.writestr(zipfile.ZipInfo(member), content)
        return out.getvalue()
    with tarfile.open(fileobj=out, mode="w") as t:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            t.addfile(info, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0) if name.endswith("gz") else out.getvalue()


def split_files(flat: bool = False, alone: int = N) -> dict[str, bytes]:
    """Split files for N images: padded rows of ten splits, or one flat row.

    alone: the first so many images share no reference with another; only they are in the train and val parts.
    """
    rng, parts = np.random.default_rng(0), ([], [], [])
    for _ in range(10):
        order = np.concatenate([rng.permutation(alone), np.arange(alone, N)])
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
    rows = [f"{n},0,0,1,0,0,100,{40 + i},0.5,{'test' if i > 1 else 'training'}" for i, n in enumerate(names)]
    top = "koniq10k/" if archive.endswith("tgz") else ""
    members = pictures(f"{top}1024x768", names) | (pictures(f"{top}512x384", names) if top else {})
    labels = csv("image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set", *rows)
    files = {archive: members, "koniq10k_distributions_sets.csv": labels, **split_files()}
    return Release(files, {"1024x768/3003.jpg": {"mos": 43, "std": 0.5}})


def clive(archive: str) -> Release:
    names = [f"t{i}.bmp" for i in range(1, 8)] + [f"{100 + i}.{'bmp' if i % 2 else 'JPG'}" for i in range(N)]
    top = "LIVEC" if archive.endswith("tgz") else "ChallengeDB_release"
    members = pictures(f"{top}/Images", [n.lower() for n in names[7:]])
    members |= pictures(f"{top}/Images/trainingImages", names[:7])
    members[f"{top}/Data/AllImages_release.mat"] = mat(AllImages_release=cells(names))
    members[f"{top}/Data/AllMOS_release.mat"] = mat(AllMOS_release=np.arange(N + 7.0)[None])
    members[f"{top}/Data/AllStdDev_release.mat"] = mat(AllStdDev_release=np.full((1, N + 7), 20.0))
    return Release({archive: members, **split_files()}, {"Images/102.jpg": {"mos": 9, "std": 20}})


def flive(archive: str) -> Release:
    names = ["EE371R/a b.jpg", "blur_dataset/m.JPG", *(f"voc_emotic_ava/AVA__{i}.jpg" for i in range(N - 2))]
    top = "FLIVE_Database/database" if archive.endswith("tgz") else "database"
    labels = csv("name,mos", *(f"{n},{70 + i}" for i, n in enumerate(names)))
    files = {archive: pictures(top, names), "labels_image.csv": labels, **split_files(flat=True)}
    return Release(files, {"EE371R/a b.jpg": {"mos": 70}, "blur_dataset/m.JPG": {"mos": 71}})


def spaq(archive: str) -> Release:
    names = [f"{i:05d}.jpg" for i in range(1, N + 1)]
    top = "SPAQ/" if archive.endswith("tgz") else ""
    table = pd.DataFrame({"Image name": names, "MOS": 8.0 * np.arange(1, N + 1), "Brightness": 1.0})
    members = pictures(f"{top}TestImage", names) | {
        f"{top}Annotations/MOS and Image attribute scores.xlsx": xlsx(table)
    }
    return Release({archive: members, **split_files()}, {"TestImage/00002.jpg": {"mos": 16}})


def cviu(archive: str) -> Release:
    names = [f"{r}_bicubic_{s}.bmp" for r in range(6) for s in (2, 3)]
    labels = csv("image,mos,ref", *(f"{n},{i / 2},{n[0]}" for i, n in enumerate(names)), bom=True)
    return Release({archive: pictures("SR", names), "cviu_scores.csv": labels}, {"SR/1_bicubic_3.bmp": {"mos": 1.5}})


def pipal(archive: str) -> Release:
    names = [f"A000{r}_00_0{i}.bmp" for r in range(6) for i in range(2)]
    top, images = ("PIPAL/", "Dist_Imgs") if archive.endswith("tar") else ("", "Train_Dist")
    members = pictures(f"{top}{images}", names)
    for r in range(6):
        lines = [f"{n},{1400 + i}.5" for i, n in enumerate(names) if n.startswith(f"A000{r}")]
        members[f"{top}Train_Label/A000{r}.txt"] = csv(*lines)
    return Release({archive: members}, {"A0003_00_01.bmp": {"mos": 1407.5, "ref": "A0003"}})


def agiqa1k(archive: str) -> Release:
    names = [f"deepai_{i}_0_0_0.jpg" for i in range(N)]
    rows = [*names, "dreamStudio_8_9_1_1.jpg", "dreamStudio_8_9_1_1.jpg"]
    table = pd.DataFrame(
        {"Image": rows, "Prompt": [f"bird {i // 2 % 6} " for i in range(N + 2)], "MOS": np.arange(N + 2) / 3}
    )
    members = pictures("file", [*names, "dreamStudio_8_9_1_1.jpg"])
    return Release({archive: members, "AIGC_MOS_Zscore.xlsx": xlsx(table)}, {names[3]: {"mos": 1, "group": "bird 1"}})


def agiqa3k(archive: str) -> Release:
    names = [f"{m}_normal_00{i}.jpg" for m in ("AttnGAN", "sd1.5") for i in range(6)]
    rows = [f"{n},a tray of {n[-5]},,,,{i / 4},0.2,1,0.5" for i, n in enumerate(names)]
    labels = csv("name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align", *rows)
    rows_of_index = {"AGIQA-3K/sd1.5_normal_001.jpg": {"mos": 1.75, "std": 0.2, "group": "a tray of 1"}}
    return Release({archive: pictures("AGIQA-3K", names), "data.csv": labels}, rows_of_index)


def kadid10k(archive: str) -> Release:
    names = [f"I0{r}_0{t}_01.png" for r, t in REFERENCES]
    labels = csv("dist_img,ref_img,dmos,var", *(f"{n},{n[:3]}.png,{1 + i / 4},0.5" for i, n in enumerate(names)))
    members = pictures("kadid10k/images", [*names, "I01.png"]) | {"kadid10k/dmos.csv": labels}
    return Release(
        {archive: members, **split_files(alone=2)},
        {"I03_01_01.png": {"mos": 1.5, "ref": "I03.png", "type": "gaussian_blur"}},
    )


def tid2013(archive: str) -> Release:
    names = [f"I0{r}_0{t}_1.bmp" for r, t in REFERENCES]
    members = pictures("tid2013/distorted_images", [n.replace("I", "i").upper() for n in names[:5]] + names[5:])
    members |= pictures("tid2013/reference_images", ["I01.BMP"])
    lines = [f"{5 + i / 4:.5f} {n if i % 2 else n.replace('I', 'i')}" for i, n in enumerate(names)]
    members["tid2013/mos_with_names.txt"] = csv(*lines).replace(b"\n", b"\r\n")
    return Release(
        {archive: members, **split_files(alone=2)}, {"I03_01_1.BMP": {"mos": 5.5, "ref": "I03", "type": "white_noise"}}
    )


def csiq(archive: str) -> Release:
    refs, types = ("1600", "boston", "foxy", "rushmore"), ("AWGN", "BLUR", "contrast", "fnoise", "jpeg2000", "JPEG")
    names = [f"{refs[r - 1]}.{types[t]}.1.png" for r, t in REFERENCES[:2]]
    names += [f"{r}.{k}.1.png" for r in refs[2:] for k in types[:5]]
    rows = [
        f"CSIQ/dst_imgs/{n.split('.')[1]}/{n},AWGN,CSIQ/src_imgs/{n.split('.')[0]}.png,{i / 20}"
        for i, n in enumerate(names)
    ]
    labels = csv("dis_img_path,dis_type,ref_img_path,score", *rows)
    if archive.endswith("tgz"):
        members = pictures("CSIQ/dst_imgs", names) | pictures("CSIQ/src_imgs", ["1600.png"])
    else:
        members = dict.fromkeys(f"dst_imgs/{n.split('.')[1].lower()}/{n}" for n in names)
    rows_of_index = {"foxy.AWGN.1.png": {"mos": 0.1, "ref": "CSIQ/src_imgs/foxy.png"}}
    return Release({archive: members, "CSIQ.txt": labels, **split_files(alone=2)}, rows_of_index)


def live(archive: str) -> Release:
    top = "LIVEIQA_release2" if archive.endswith("tgz") else "databaserelease2"
    names = [f"{folder}/img{i}.bmp" for folder in ("jp2k", "jpeg", "wn") for i in range(2, 6)]
    rows = [f"LIVE/{n},,LIVE/refimgs/{REFERENCES[i][0]}.bmp,{8 * i}" for i, n in enumerate(names)]
    members = pictures(top, names) | pictures(f"{top}/refimgs", ["bikes.bmp"])
    labels = csv("dis_img_path,dis_type,ref_img_path,score", *rows)
    rows_of_index = {"jpeg/img2.bmp": {"mos": 32, "ref": "LIVE/refimgs/4.bmp"}}
    return Release({archive: members, "LIVE.txt": labels, **split_files(alone=2)}, rows_of_index)


def biq2021(archive: str) -> Release:
    names = [f"ss0{1 + i % 3} ({i}).jpg" for i in range(N)]
    top = "BIQ2021-62c7b40c036b68ee280626409699aa5c1a37fe57"
    members = pictures(f"{top}/Images", [n.replace("jpg", "JPG") if "9" in n else n for n in names])
    rows = [f"{n},{i / 20}" for i, n in enumerate(names)]
    members[f"{top}/Train (Images and MOS).csv"] = csv("Image Name,MOS,,", *(f"{r},," for r in rows[:2]), ",,,")
    members[f"{top}/Test (Images and MOS).csv"] = csv("Image Name,MOS", *rows[2:], bom=True)
    members[f"{top}/Train.csv"] = csv("Image Name,MOS", *rows)
    return Release({archive: members}, {"ss01 (9).JPG": {"mos": 0.45, "split_official": "test"}})


def uhd_iqa(archive: str) -> Release:
    top, parts = "UHD-IQA-database", ["training"] * 2 + ["test"] * 10
    members = pictures(top, [f"{part}/{i}.jpg" for i, part in enumerate(parts)])
    rows = [f"{i}.jpg,{0.4 + i / 40},{part},,5515" for i, part in enumerate(parts)]
    members[f"{top}/uhd-iqa-metadata.csv"] = csv("image_name,quality_mos,set,subset,orig_width", *rows)
    return Release({archive: members}, {"test/4.jpg": {"mos": 0.5, "split_official": "test"}})


def kadis700k(archive: str) -> Release:
    members = pictures("kadis700k/ref_imgs", [f"{i}.png" for i in range(N)]) | pictures(
        "kadis700k/dist_imgs", ["x.png"]
    )
    return Release({archive: members}, {"ref_imgs/3.png": {"width": 12}})


def bsds500(archive: str) -> Release:
    top = "BSDS500-a04b7c6c3a9f0ace74bf205c72a43d32e1c72722/BSDS500/data"
    names = [f"{part}/{i}.jpg" for part in ("train", "test") for i in range(6)]
    members = pictures(f"{top}/images", names) | {f"{top}/images/train/Thumbs.db": b"x"} | pictures(top, ["y.jpg"])
    return Release({archive: members}, {"train/1.jpg": {"height": 8}, "test/1.jpg": {"width": 12}})


def waterloo(archive: str) -> Release:
    top = "exploration_database_and_code"
    return Release({archive: pictures(f"{top}/pristine_images", [f"{i:05d}.bmp" for i in range(N)])}, {"00003.bmp": {}})


RELEASES: dict[str, Callable[[str], Release]] = {
    f.__name__: f for f in (agiqa1k, agiqa3k, biq2021, bsds500, clive, csiq, cviu, flive, kadid10k, kadis700k, koniq10k)
} | {f.__name__: f for f in (live, pipal, spaq, tid2013, uhd_iqa, waterloo)}


def small(card: DatasetCard, archive: str, release: Release, base: str | None = None) -> DatasetCard:
    """The card with the counts of a small release, and no other way to get it than `archive`.

    base: the address of a server that has the files, in place of the card's own addresses. Every file is pinned
    to its SHA-256 but archives that are not packed yet.
    """
    chosen = next(f for f in card.files if f.filename == archive)
    files = [
        _placed(f, release, base)
        for f in card.files
        if f == chosen or not f.alternative or f.alternative != chosen.alternative
    ]
    splits = card.splits
    for use, counts in (("files", COUNTS), ("column", OFFICIAL)):
        if splits and getattr(splits, use) and getattr(splits, use).counts:
            splits = splits.model_copy(update={use: getattr(splits, use).model_copy(update={"counts": counts})})
    images = card.images.model_copy(update={"count": N})
    return card.model_copy(update={"files": files, "images": images, "splits": splits})


def _placed(item: Download, release: Release, base: str | None) -> Download:
    content = release.files[item.filename]
    place = {"sha256": hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else None}
    if base:
        url = f"{base}/{item.filename}".replace(" ", "%20")
        place |= {"gdrive": None, "huggingface": None, "manual": None, "url": url}
    return item.model_copy(update=place)
