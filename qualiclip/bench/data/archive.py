"""Safe extraction of zip and tar archives: nothing is written outside of the folder, and the total size is limited."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from qualiclip.bench.data.download import FetchError, require_space


class Damaged(FetchError):
    """An archive that is not whole, or no archive at all: another download may mend it."""


MAX_RATIO = 100  # unpacked size over archive size; images hardly compress, so that more than this is a bomb
MIN_LIMIT = 1 << 30  # bytes that any archive may unpack to
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


@contextmanager
def _archive_errors(archive: Path) -> Iterator[None]:
    """Turn the errors of the libraries into FetchError with the name of the archive and the remedy."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as e:
        if isinstance(e, FetchError):
            raise
        raise FetchError(f"{archive}: cannot be unpacked ({e})") from e  # encrypted, or packed in an unusual way
    except DAMAGE as e:
        if getattr(e, "errno", None):  # the disk, not the archive
            raise FetchError(f"{archive}: cannot be unpacked ({e})") from e
        raise Damaged(f"{archive}: damaged or truncated ({e}); remove it and fetch it again") from e


def _check_size(archive: Path, total: int, limit: int, unwritten: int, target: Path) -> None:
    """Raises FetchError for more bytes in all than `limit`, or `unwritten` ones that the disk has no room for."""
    if total > limit:
        raise FetchError(f"{archive}: would unpack to more than {limit / 1e9:.1f} GB; is it a decompression bomb?")
    require_space(target, unwritten, f"unpacking {archive.name}")


def _inside(archive: Path, target: Path, member: str) -> Path:
    """The path of a member in the folder `target`. Raises FetchError where it would lie outside."""
    path = (target / member).resolve()
    if not path.is_relative_to(target.resolve()):
        raise FetchError(f"{archive}: {member} leaves the folder")
    return path


def _unzip(archive: Path, target: Path, limit: int) -> None:
    """Unpack a zip file."""
    with zipfile.ZipFile(archive) as z:
        members = z.infolist()
        # the stated sizes can be trusted: zipfile stops reading a member there
        total = sum(m.file_size for m in members)
        _check_size(archive, total, limit, total, target)
        for member in tqdm(members, desc=f"extract {archive.name}", unit="file"):
            member.filename = member.filename.replace("\\", "/")  # some tools of Windows write it against the format
            _inside(archive, target, member.filename)
            z.extract(member, target)  # a link is written as a small file that holds its target


def _untar(archive: Path, target: Path, limit: int) -> None:
    """Unpack the files of a tar file, which may be compressed."""
    total = 0
    with tarfile.open(archive) as t:
        for member in tqdm(t, desc=f"extract {archive.name}", unit="file"):
            if not member.isfile():
                continue  # folders are made for their files; links may point anywhere, and no dataset needs devices
            total += member.size
            _check_size(archive, total, limit, member.size, target)
            path = _inside(archive, target, member.name.lstrip("/"))  # as tar itself does
            path.parent.mkdir(parents=True, exist_ok=True)
            # not t.extract, whose safe filter needs Python 3.11.4; owners and modes of files are not wanted either
            with t.extractfile(member) as content, path.open("wb") as out:
                shutil.copyfileobj(content, out)


def extract(archive: Path, target: Path, limit: int | None = None) -> None:
    """Unpack a zip, tar or compressed tar into the folder `target`. Links and devices are left out.

    limit: bytes that it may unpack to; by default MAX_RATIO times its own size, and at least MIN_LIMIT.
    Raises Damaged for a damaged or truncated archive and for other formats; another FetchError for one with a path
    outside of the folder, and for one that is larger than the limit or the free space. Files unpacked before the error
    stay: the caller removes them.
    """
    limit = max(MIN_LIMIT, MAX_RATIO * archive.stat().st_size) if limit is None else limit
    target.mkdir(parents=True, exist_ok=True)
    with _archive_errors(archive):
        if zipfile.is_zipfile(archive):
            _unzip(archive, target, limit)
        elif tarfile.is_tarfile(archive):
            _untar(archive, target, limit)
        else:
            raise Damaged(f"{archive}: damaged or truncated, or neither zip nor tar; repack it as one of them")
