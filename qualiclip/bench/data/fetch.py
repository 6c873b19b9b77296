"""Fetch a dataset: download or make it, verify it, extract it.

`python -m qualiclip.bench.data.fetch datasets/agiqa3k.yaml --raw datasets/raw [--mirror DIR]`
The folder raw/<dataset>/ appears complete, with a manifest.json, or not at all. Where a card does not state the SHA-256
of a file, that of the first download is recorded in raw/.digests/<dataset>/, and later downloads must have the same.

A release that a person must bring, or whose hosts do not give it, is no error: the manifest then states the reason, and
the set is "not here" in what follows. What was downloaded of it is kept.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from qualiclip.bench import job
from qualiclip.bench.cards.base import load_function, read_card
from qualiclip.bench.cards.dataset import OWN_FOLDER, DatasetCard, Download
from qualiclip.bench.data.archive import Damaged, extract
from qualiclip.bench.data.download import FetchError, Unavailable, download
from qualiclip.io import atomic_folder, read_json, sha256, write_text

MANIFEST = "manifest.json"


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path` inside the block, after waiting until no other job holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


def digest_file(name: str, item: Download, digests: Path) -> Path:
    """The file that records the SHA-256 of the first download of `item`."""
    return digests / name / f"{item.filename}.sha256"


def verify(path: Path, item: Download, record: Path) -> str:
    """The SHA-256 of a file. Raises Damaged where it is not the card's, FetchError where not the first download's.

    record: as `digest_file` gives it; it need not exist.
    """
    digest = sha256(path)
    if item.sha256 and not digest.startswith(item.sha256):
        raise Damaged(f"{path}: SHA-256 {digest}, the card says {item.sha256}; remove it and fetch it again")
    expected = record.read_text().split()[0] if record.is_file() else digest
    if digest != expected and item.sha256 != digest:
        raise FetchError(
            f"{path}: SHA-256 {digest}, the first download had {expected}; remove it to fetch it again, or remove "
            f"{record} to accept it"
        )
    return digest


def record_digest(digest: str, item: Download, record: Path) -> None:
    """Record the SHA-256 of the first download, once it has proved usable, where the card does not state it."""
    if item.sha256 != digest and not record.is_file():
        write_text(record, f"{digest}  {item.filename}\n")


def obtain(name: str, item: Download, store: Path, digests: Path, mirror: Path | None) -> tuple[Path, str]:
    """One verified file and its SHA-256: from the mirror, from an earlier download in `store`, or from its source.

    name: the dataset, or whatever else the file belongs to; also its folder in the mirror and in `digests`.
    Raises Unavailable where its source does not give it, another FetchError for a file that is not the right one. A
    download that is not what the card says is removed.
    """
    record = digest_file(name, item, digests)
    with file_lock(record.with_suffix(".lock")):
        if path := item.in_mirror(name, mirror):
            return path, verify(path, item, record)
        path = store / item.filename
        if not path.is_file():
            download(item, path)
        try:
            return path, verify(path, item, record)
        except Damaged:
            path.unlink()
            raise


def obtain_first(
    name: str, items: list[Download], store: Path, digests: Path, mirror: Path | None
) -> tuple[Download, Path, str]:
    """The first of several alternative files that can be obtained: (item, path, SHA-256).

    Local files come before those that must be downloaded. Raises Unavailable where no source gives one, with the place
    in the mirror of each, and another FetchError where one cannot be used.
    """
    local = [i for i in items if i.in_mirror(name, mirror) or (store / i.filename).is_file()]
    absent, wrong = [], []
    for item in [*local, *(i for i in items if i not in local)]:
        try:
            path, digest = obtain(name, item, store, digests, mirror)
            return item, path, digest
        except Unavailable as e:
            remedy = f"put it at {mirror or 'DIR'}/{name}/{item.filename}" + ("" if mirror else " and give mirror=DIR")
            absent.append(f"{e}; {remedy}")
        except FetchError as e:
            wrong.append(str(e))
            if item in local:  # the user has to replace a wrong file; a download must not hide it
                break
    raise FetchError("\n".join(wrong)) if wrong else Unavailable(", or ".join(absent))


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
    except Damaged:
        if archive.is_relative_to(store):
            archive.unlink()
        raise


def link(folder: Path, place: Path, raw: Path) -> None:
    """Make `place` lead to a user's own folder, in which nothing is ever written.

    raw: the folder raw/<dataset>/, which will be replaced. Raises FetchError for a folder that does not exist, or that
    lies in raw, or the other way round.
    """
    if not folder.is_dir():
        raise FetchError(f"{folder}: no such folder; correct `folder` in the card")
    own, ours = folder.resolve(), raw.resolve()
    if own.is_relative_to(ours) or ours.is_relative_to(own):
        raise FetchError(
            f"{folder}: your folder and {raw}, which this suite writes, must not lie in each other; move it"
        )
    place.symlink_to(own, target_is_directory=True)


def obtain_all(
    card: DatasetCard, files: list[Download], raw: Path, mirror: Path | None
) -> list[tuple[Download, Path, str]]:
    """One file of each group of alternatives, as `obtain_first` gives it. Raises Unavailable, naming all that lack."""
    obtained, absent = [], []
    for items in alternatives(files):
        try:
            obtained.append(obtain_first(card.name, items, raw / ".downloads" / card.name, raw / ".digests", mirror))
        except Unavailable as e:
            absent.append(str(e))
    if absent:
        manifest = raw / card.name / MANIFEST
        again = "" if all(i.manual for i in files) else f" To ask the hosts again, remove {manifest}."
        raise Unavailable(f"{'. '.join(absent)}.{again}")
    return obtained


def not_here(manifest: Path) -> str:
    """Why a dataset is not here, by its manifest; empty where it is. Raises DamagedFile."""
    return read_json(manifest).get("reason", "")


def fetch(
    card: DatasetCard, raw: Path, mirror: Path | None, labels_only: bool = False, mirrored: list[str] | None = None
) -> Path:
    """Make the folder raw/<dataset>/, unless it is complete already, and return the path of its manifest.

    mirror: a folder of files that are used in place of the network. labels_only: of the card's alternatives take the
    label table, without images. mirrored: recorded in the manifest. Where the release is not to be had, the manifest
    alone is written, with a reason. Raises FetchError.
    """
    manifest, store = raw / card.name / MANIFEST, raw / ".downloads" / card.name
    files, card_digest = card.wanted_files(labels_only), card.raw_digest(labels_only)
    facts: dict[str, Any] = {"dataset": card.name, "digest": card_digest, "mirrored": mirrored or []}
    with file_lock(raw / ".locks" / f"{card.name}.lock"):
        known = read_json(manifest) if card.files and manifest.is_file() else {}
        if known.get("digest") == card_digest and not known.get("reason"):
            return manifest  # another job has fetched it meanwhile
        # its release, or why it is not here
        reason = next(filter(None, (not_here(raw / n / MANIFEST) for n in card.make.needs)), "") if card.make else ""
        try:
            obtained = obtain_all(card, files, raw, mirror)
        except Unavailable as e:
            reason = str(e)
        if reason:
            facts["reason"] = f"{card.title}: not here: {reason}"
            write_text(manifest, json.dumps(facts, indent=2) + "\n")
            return manifest
        with atomic_folder(manifest.parent) as target:
            # from its release
            for item, path, _ in obtained:
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
                link(card.folder, target / OWN_FOLDER, manifest.parent)
            facts["sha256"] = {item.filename: digest for item, _, digest in obtained}
            (target / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n")
        # the files have proved usable
        for item, _, digest in obtained:
            record_digest(digest, item, digest_file(card.name, item, raw / ".digests"))
        shutil.rmtree(store, ignore_errors=True)
    return manifest


def main() -> None:
    parser = job.parser(
        "Download or make, verify and extract one dataset.", "dataset", "--raw", "--mirror", "--mirrored"
    )
    parser.add_argument("--labels-only", action="store_true", help="no images, where the card has a label table")
    args = parser.parse_args()
    try:
        card = read_card(DatasetCard, args.dataset)
        manifest = fetch(card, args.raw, args.mirror, args.labels_only, args.mirrored)
        print(not_here(manifest) or manifest)
    except FetchError as e:
        sys.exit(f"error: {e}")


if __name__ == "__main__":
    job.run(main)
