"""Fetch a dataset: download or make it, verify it, extract it.

`python -m qualiclip.bench.data.fetch datasets/agiqa3k.yaml --raw datasets/raw [--mirror DIR]`
The folder raw/<dataset>/ appears complete, with a manifest.json, or not at all. Where a card does not state the SHA-256
of a file, that of the first download is recorded in raw/.digests/<dataset>/, and later downloads must have the same.
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
    """Hold the lock file `path` inside the block, after waiting until no other job holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


def in_mirror(name: str, item: Download, mirror: Path | None) -> Path | None:
    """The file of the mirror that is used in place of the network; None where the mirror does not have it."""
    places = [Path(name) / item.filename, *([Path(item.mirror)] if item.mirror else [])]
    return next((mirror / p for p in places if (mirror / p).is_file()), None) if mirror else None


def digest_file(name: str, item: Download, digests: Path) -> Path:
    """The file that records the SHA-256 of the first download of `item`."""
    return digests / name / f"{item.filename}.sha256"


def verify(path: Path, item: Download, record: Path) -> str:
    """The SHA-256 of a file. Raises FetchError where it is not that of the card, or else that of the first download.

    record: as `digest_file` gives it; it need not exist.
    """
    digest = sha256(path)
    expected = item.sha256 or (record.read_text().split()[0] if record.is_file() else digest)
    if digest != expected:
        source = "the card says" if item.sha256 else f"the first download had (remove {record} to accept another)"
        raise FetchError(f"{path}: SHA-256 {digest}, {source} {expected}; remove it and fetch it again")
    return digest


def record_digest(digest: str, item: Download, record: Path) -> None:
    """Record the SHA-256 of the first download, once it has proved usable, where the card does not state it."""
    if item.sha256 is None and not record.is_file():
        write_text(record, f"{digest}  {item.filename}\n")


def obtain(name: str, item: Download, store: Path, digests: Path, mirror: Path | None) -> tuple[Path, str]:
    """One verified file and its SHA-256: from the mirror, from an earlier download in `store`, or from its source.

    name: the dataset, or whatever else the file belongs to; also its folder in the mirror and in `digests`.
    Raises FetchError when it cannot be fetched or is not the right one; a wrong download is removed.
    """
    record = digest_file(name, item, digests)
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


def obtain_first(
    name: str, items: list[Download], store: Path, digests: Path, mirror: Path | None
) -> tuple[Download, Path, str]:
    """The first of several alternative files that can be obtained: (item, path, SHA-256).

    Local files come before those that must be downloaded. Raises FetchError with the problems of all of them.
    """
    local = [i for i in items if in_mirror(name, i, mirror) or (store / i.filename).is_file()]
    problems = []
    for item in [*local, *(i for i in items if i not in local)]:
        try:
            path, digest = obtain(name, item, store, digests, mirror)
            return item, path, digest
        except FetchError as e:
            problems.append(str(e))
            if item in local:  # the user has to replace a wrong file; a download must not hide it
                break
    raise FetchError("\n".join(problems))


def alternatives(files: list[Download]) -> list[list[Download]]:
    """Files grouped by their key `alternative`; a file without it is a group of its own."""
    groups: dict[str, list[Download]] = {}
    for item in files:
        groups.setdefault(item.alternative or f"file {item.filename}", []).append(item)
    return list(groups.values())


def unpack(archive: Path, target: Path, store: Path) -> None:
    """Extract an archive. A damaged download, in `store`, is removed, so that the next attempt fetches it again.

    Raises FetchError.
    """
    try:
        extract(archive, target)
    except FetchError:
        if archive.is_relative_to(store):
            archive.unlink()
        raise


def link(folder: Path, target: Path) -> None:
    """Link the content of a user's own folder into the folder `target`. Raises FetchError if it does not exist."""
    if not folder.is_dir():
        raise FetchError(f"{folder}: no such folder; correct `folder` in the card")
    for entry in folder.iterdir():
        (target / entry.name).symlink_to(entry.resolve())


def fetch(card: DatasetCard, raw: Path, mirror: Path | None, labels_only: bool = False) -> Path:
    """Make the folder raw/<dataset>/, unless it is complete already, and return the path of its manifest.

    mirror: a folder of files that are used in place of the network. labels_only: of the card's alternatives take the
    label table, without images. Raises FetchError.
    """
    manifest = raw / card.name / MANIFEST
    store, digests = raw / ".downloads" / card.name, raw / ".digests"
    files, card_digest = card.wanted_files(labels_only), card.raw_digest(labels_only)
    with file_lock(raw / ".locks" / f"{card.name}.lock"):
        if card.files and manifest.is_file() and json.loads(manifest.read_text())["digest"] == card_digest:
            return manifest  # another job has fetched it meanwhile
        fetched: list[tuple[Download, str]] = []
        with atomic_folder(manifest.parent) as target:
            # from its release
            for items in alternatives(files):
                item, path, digest = obtain_first(card.name, items, store, digests, mirror)
                fetched.append((item, digest))
                if item.extract:
                    unpack(path, target, store)
                else:
                    (target / item.filename).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target / item.filename)
            # made in the workflow, or a folder of the user
            if card.make:
                make = load_function(card.make.function, card.path.parent)
                make(target, *(raw / n for n in card.make.needs), **card.make.arguments)
            if card.folder:
                link(card.folder, target)
            sums = {item.filename: digest for item, digest in fetched}
            facts = {"dataset": card.name, "digest": card_digest, "sha256": sums}
            (target / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n")
        # the files have proved usable
        for item, digest in fetched:
            record_digest(digest, item, digest_file(card.name, item, digests))
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
