"""Bring a dataset: download or make, verify, extract.

`python -m qualiclip.bench.data.fetch datasets/agiqa3k.yaml --raw datasets/raw [--mirror DIR]`
The folder raw/<dataset>/ appears whole, with a manifest.json, or not at all. The SHA-256 of a file that
its card does not state is kept in raw/.digests/<dataset>/, and later downloads are held to it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from qualiclip.bench import job
from qualiclip.bench.cards.base import load_function, read_card
from qualiclip.bench.cards.dataset import DatasetCard, Download
from qualiclip.bench.data.archive import extract
from qualiclip.bench.data.download import FetchError, download
from qualiclip.io import atomic_folder, sha256, write_text

MANIFEST = "manifest.json"


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Wait until no other job holds the lock file `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


def in_mirror(name: str, item: Download, mirror: Path | None) -> Path | None:
    """The file that lies in the mirror in place of the network, if one does."""
    places = [Path(name) / item.filename, *([Path(item.mirror)] if item.mirror else [])]
    return next((mirror / p for p in places if (mirror / p).is_file()), None) if mirror else None


def verify(path: Path, item: Download, record: Path) -> str:
    """The SHA-256 of a file, held to the card or to the first download. Raises FetchError."""
    found = sha256(path)
    known = item.sha256 or (record.read_text().split()[0] if record.is_file() else found)
    if found != known:
        source = "the card says" if item.sha256 else f"the first download had (remove {record} to accept another)"
        raise FetchError(f"{path}: SHA-256 {found}, {source} {known}; remove it and fetch again")
    return found


def remember(found: str, item: Download, record: Path) -> None:
    """Hold later downloads to this one, once it has proved usable, where the card does not state a SHA-256."""
    if item.sha256 is None and not record.is_file():
        write_text(record, f"{found}  {item.filename}\n")


def record_of(name: str, item: Download, digests: Path) -> Path:
    return digests / name / f"{item.filename}.sha256"


def obtain(name: str, item: Download, store: Path, digests: Path, mirror: Path | None) -> tuple[Path, str]:
    """One verified file and its SHA-256: from the mirror, from an earlier download in `store`, or from its source.

    name: the dataset, or whatever else the file belongs to; also its folder in the mirror and in `digests`.
    Raises FetchError when it cannot be had or is not the right one; what was downloaded then goes.
    """
    record = record_of(name, item, digests)
    with file_lock(record.with_suffix(".lock")):
        if path := in_mirror(name, item, mirror):
            return path, verify(path, item, record)
        path = store / item.filename
        if not path.is_file():
            try:
                download(item, path)
            except FetchError as e:
                raise FetchError(f"{name}: {e}; or give mirror=DIR with the file at DIR/{name}/{item.filename}") from e
        try:
            return path, verify(path, item, record)
        except FetchError:
            path.unlink()
            raise


def first_of(name: str, items: list[Download], store: Path, digests: Path, mirror: Path | None) -> tuple:
    """(item, path, SHA-256) of the first of several files that can be had, those at hand before the others.

    Raises FetchError with what every one of them met.
    """
    at_hand = [i for i in items if in_mirror(name, i, mirror) or (store / i.filename).is_file()]
    problems = []
    for item in [*at_hand, *(i for i in items if i not in at_hand)]:
        try:
            return item, *obtain(name, item, store, digests, mirror)
        except FetchError as e:
            problems.append(str(e))
            if item in at_hand:  # a wrong file is to be replaced, not passed over
                break
    raise FetchError("\n".join(problems))


def choices(files: list[Download]) -> list[list[Download]]:
    """Files grouped by `alternative`; a file without it stands alone."""
    groups: dict[str, list[Download]] = {}
    for item in files:
        groups.setdefault(item.alternative or f"file {item.filename}", []).append(item)
    return list(groups.values())


def unpack(archive: Path, target: Path, store: Path) -> None:
    """Extract; a download that turns out to be damaged goes, so that the next attempt brings it anew."""
    try:
        extract(archive, target)
    except FetchError:
        if archive.is_relative_to(store):
            archive.unlink()
        raise


def link(folder: Path, target: Path) -> None:
    """Everything in a user's own folder, linked into `target`. Raises FetchError when it is not there."""
    if not folder.is_dir():
        raise FetchError(f"{folder}: no such folder")
    for entry in folder.iterdir():
        (target / entry.name).symlink_to(entry.resolve())


def fetch(card: DatasetCard, raw: Path, mirror: Path | None, labels_only: bool = False) -> Path:
    """Make raw/<dataset>/ whole, or its labels alone; returns its manifest. Raises FetchError."""
    manifest = raw / card.name / MANIFEST
    store, digests = raw / ".downloads" / card.name, raw / ".digests"
    files, digest = card.wanted_files(labels_only), card.raw_digest(labels_only)
    with file_lock(raw / ".locks" / f"{card.name}.lock"):
        if card.files and manifest.is_file() and json.loads(manifest.read_text())["digest"] == digest:
            return manifest  # another job has brought it meanwhile
        came: dict[Path, tuple[str, Download]] = {}
        with atomic_folder(manifest.parent) as target:
            for items in choices(files):
                item, path, found = first_of(card.name, items, store, digests, mirror)
                came[record_of(card.name, item, digests)] = found, item
                if item.extract:
                    unpack(path, target, store)
                else:
                    (target / item.filename).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target / item.filename)
            if card.make:
                make = load_function(card.make.function, card.path.parent)
                make(target, *(raw / n for n in card.make.needs), **card.make.arguments)
            if card.folder:
                link(card.folder, target)
            sums = {item.filename: found for found, item in came.values()}
            facts = {"dataset": card.name, "digest": digest, "sha256": sums}
            (target / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n")
        for record, (found, item) in came.items():
            remember(found, item, record)
        shutil.rmtree(store, ignore_errors=True)
    return manifest


def main() -> None:
    parser = job.parser("Download or make, verify and extract one dataset.", "dataset", "--raw", "--mirror")
    parser.add_argument("--labels-only", action="store_true", help="no images, where the card has a label table")
    args = parser.parse_args()
    try:
        print(fetch(read_card(DatasetCard, args.dataset), args.raw, args.mirror, args.labels_only))
    except FetchError as e:
        sys.exit(f"error: {e}")


if __name__ == "__main__":
    job.run(main)
