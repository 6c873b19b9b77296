"""Bring a dataset: download or make, verify, extract.

`python -m qualiclip.bench.fetch datasets/agiqa3k.yaml --raw datasets/raw [--mirror DIR]`
The folder raw/<dataset>/ appears whole, with a manifest.json, or not at all.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from qualiclip.bench.cards import CardError, DatasetCard, Download, read_card
from qualiclip.bench.files import atomic, atomic_folder, sha256

MANIFEST = "manifest.json"
CHUNK = 1 << 20


class FetchError(RuntimeError):
    """A file that could not be had; the message says which, from where, and what to do."""


def load_function(reference: str, folder: Path) -> Callable[..., Any]:
    """`file.py:name` beside a card -> the function or class. Raises CardError."""
    file, _, name = reference.partition(":")
    path = folder / file
    spec = importlib.util.spec_from_file_location(f"card_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise CardError(f"{path}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and worker processes look modules up by name
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise CardError(f"{path}: defines no {name!r}")
    return getattr(module, name)


def _http(url: str, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=60) as response, target.open("wb") as out:
        total = int(response.headers.get("Content-Length") or 0)
        with tqdm(total=total or None, unit="B", unit_scale=True, desc=target.name) as bar:
            while chunk := response.read(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
        if total and bar.n != total:
            raise FetchError(f"{url}: {bar.n} of {total} bytes came")


def _gdrive(file_id: str, target: Path) -> None:
    import gdown

    if gdown.download(id=file_id, output=str(target)) is None:
        raise FetchError(f"Google Drive file {file_id} could not be downloaded")


def _huggingface(place: str, target: Path) -> None:
    from huggingface_hub import hf_hub_download

    owner, repository, path = place.split("/", 2)
    shutil.copyfile(hf_hub_download(f"{owner}/{repository}", path, repo_type="dataset"), target)


def _download(item: Download, target: Path) -> None:
    if item.url:
        _http(item.url, target)
    elif item.gdrive:
        _gdrive(item.gdrive, target)
    elif item.huggingface:
        _huggingface(item.huggingface, target)


def obtain(card: DatasetCard, item: Download, store: Path, mirror: Path | None) -> Path:
    """The verified file: from the mirror, from an earlier download, or from the network.

    Raises FetchError when it cannot be had or its SHA-256 is not the card's.
    """
    here = mirror and mirror / card.name / item.filename
    if here and here.is_file():
        path = here
    else:
        path = store / item.filename
        if not path.is_file():
            place = f"mirror=DIR with the file at DIR/{card.name}/{item.filename}"
            if item.manual:
                raise FetchError(f"{item.filename} must be fetched by hand ({item.manual}); then give {place}")
            try:
                with atomic(path) as temporary:
                    _download(item, temporary)
            except (OSError, urllib.error.URLError, FetchError) as e:
                raise FetchError(f"{item.filename} of {card.name}: {e}; try again, or give {place}") from e
    if item.sha256 and sha256(path) != item.sha256:
        raise FetchError(f"{path}: SHA-256 {sha256(path)}, the card says {item.sha256}; remove it and fetch again")
    return path


def extract(archive: Path, target: Path) -> None:
    """Unpack a zip or tar inside `target`. Raises FetchError for a damaged archive or one that leaves it."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as z:
                for member in tqdm(z.infolist(), desc=f"extract {archive.name}", unit="file"):
                    if not (target / member.filename).resolve().is_relative_to(target.resolve()):
                        raise FetchError(f"{archive}: {member.filename} leaves the folder")
                    z.extract(member, target)
        else:
            with tarfile.open(archive) as t:
                t.extractall(target, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as e:
        raise FetchError(f"{archive}: damaged or truncated ({e}); remove it and fetch it again") from e


def fetch(card: DatasetCard, raw: Path, mirror: Path | None) -> Path:
    """Make raw/<dataset>/ whole; returns its manifest."""
    store = raw / ".downloads" / card.name
    digests = {}
    with atomic_folder(raw / card.name) as target:
        for item in card.files:
            path = obtain(card, item, store, mirror)
            digests[item.filename] = item.sha256 or sha256(path)
            if item.extract:
                extract(path, target)
            else:
                shutil.copyfile(path, target / item.filename)
        if card.make:
            make = load_function(card.make.function, card.path.parent)
            make(target, *(raw / n for n in card.make.needs), **card.make.arguments)
        facts = {"dataset": card.name, "digest": card.raw_digest(), "sha256": digests}
        (target / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n")
    shutil.rmtree(store, ignore_errors=True)
    return raw / card.name / MANIFEST


def main() -> None:
    parser = argparse.ArgumentParser(description="Download or make, verify and extract one dataset.")
    parser.add_argument("card", type=Path, help="datasets/<name>.yaml")
    parser.add_argument("--raw", type=Path, required=True, help="raw root; the set goes to RAW/<name>/")
    parser.add_argument("--mirror", type=Path, help="folder whose <name>/<file> is taken in place of the network")
    args = parser.parse_args()
    try:
        print(fetch(read_card(DatasetCard, args.card), args.raw, args.mirror))
    except (CardError, FetchError) as e:
        sys.exit(f"error: {e}")


if __name__ == "__main__":
    main()
