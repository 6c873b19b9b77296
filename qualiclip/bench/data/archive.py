"""Archives unpacked with suspicion: nothing leaves the folder, nothing grows without limit."""

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

RATIO = 100  # an archive of images hardly shrinks; one that grows more than this is a bomb
SMALL = 1 << 30  # bytes that any archive may grow to
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


@contextmanager
def _naming(archive: Path) -> Iterator[None]:
    """Say which archive is at fault."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as e:
        if isinstance(e, FetchError):
            raise
        raise FetchError(f"{archive}: cannot be unpacked ({e})") from e  # encrypted, or packed in an unusual way
    except DAMAGE as e:
        if getattr(e, "errno", None):  # the disk, not the archive
            raise FetchError(f"{archive}: cannot be unpacked ({e})") from e
        raise FetchError(f"{archive}: damaged or truncated ({e}); remove it and fetch it again") from e


def _check(archive: Path, total: int, limit: int, target: Path) -> None:
    if total > limit:
        raise FetchError(f"{archive}: would unpack to more than {limit / 1e9:.1f} GB; is it a bomb?")
    require_space(target, total, f"unpacking {archive.name}")


def _inside(archive: Path, target: Path, member: str) -> Path:
    """Where a member goes."""
    path = (target / member).resolve()
    if not path.is_relative_to(target.resolve()):
        raise FetchError(f"{archive}: {member} leaves the folder")
    return path


def _unzip(archive: Path, target: Path, limit: int) -> None:
    with zipfile.ZipFile(archive) as z:
        members = z.infolist()
        # zipfile stops reading a member at the size stated here, so the statement binds
        _check(archive, sum(m.file_size for m in members), limit, target)
        for member in tqdm(members, desc=f"extract {archive.name}", unit="file"):
            _inside(archive, target, member.filename)
            z.extract(member, target)  # a link is written as a small file that holds its target


def _untar(archive: Path, target: Path, limit: int) -> None:
    total = 0
    with tarfile.open(archive) as t:
        for member in tqdm(t, desc=f"extract {archive.name}", unit="file"):
            if not member.isfile():
                continue  # folders come with their files; links and devices no dataset needs, one may point anywhere
            total += member.size
            _check(archive, total, limit, target)
            path = _inside(archive, target, member.name.lstrip("/"))  # as tar itself does
            path.parent.mkdir(parents=True, exist_ok=True)
            # bytes alone, not t.extract: its safe filter came with Python 3.11.4, and owners and modes are not wanted
            with t.extractfile(member) as content, path.open("wb") as out:
                shutil.copyfileobj(content, out)


def extract(archive: Path, target: Path, limit: int | None = None) -> None:
    """Unpack a zip, tar or compressed tar inside `target`.

    limit: bytes that it may grow to; by default RATIO times its own size. Links and devices are left out.
    Raises FetchError for a damaged or truncated archive, one that leaves the folder, one that outgrows the
    limit or the disk, and for other formats. What was unpacked until then is the caller's to remove.
    """
    limit = max(SMALL, RATIO * archive.stat().st_size) if limit is None else limit
    target.mkdir(parents=True, exist_ok=True)
    with _naming(archive):
        if zipfile.is_zipfile(archive):
            _unzip(archive, target, limit)
        elif tarfile.is_tarfile(archive):
            _untar(archive, target, limit)
        else:
            raise FetchError(f"{archive}: damaged or truncated, or neither zip nor tar; repack it as one of them")
