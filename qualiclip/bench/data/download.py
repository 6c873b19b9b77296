"""Downloads that survive a cut line: http(s), Google Drive, Hugging Face.

A file grows as <name>.part and takes its name when it is whole. A later attempt, or a later job, goes on
where the last one stopped, provided that the server still has the same file.
"""

from __future__ import annotations

import errno
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from qualiclip.bench.cards.dataset import Download

CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte
DELAYS = (1, 2, 4, 8, 16, 32)  # seconds before each further attempt in a row that brings nothing
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP states that another attempt may find gone
RESERVE = 64 << 20  # bytes that stay free on the disk


class FetchError(RuntimeError):
    """A file that could not be had; the message says which, from where, and what to do."""


class _Cut(OSError):
    """The line broke before the last byte."""


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raises FetchError when the disk of `folder` has no room for `needed` bytes more."""
    free = shutil.disk_usage(folder).free - RESERVE
    if needed > free:
        raise FetchError(f"{what} needs {needed / 1e9:.2f} GB in {folder}, {max(free, 0) / 1e9:.2f} GB are free")


def persistently(attempt: Callable[[], None], progress: Callable[[], int], what: str) -> None:
    """Repeat `attempt` while it fails for a passing reason, with growing pauses.

    progress: bytes that have come; as long as they reach a new height, a failure costs no patience.
    Raises FetchError when the patience is at its end, or at once for a reason that will not pass.
    """
    idle, best = 0, progress()
    while True:
        try:
            return attempt()
        except urllib.error.HTTPError as e:
            if e.code not in PASSING:
                raise FetchError(f"{what}: HTTP {e.code} {e.reason}") from e
            problem: Exception = e
        except (OSError, http.client.HTTPException) as e:
            if getattr(e, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                raise FetchError(f"{what}: {e}") from e
            problem = e
        idle, best = (1 if progress() > best else idle + 1), max(best, progress())
        if idle > len(DELAYS):
            raise FetchError(f"{what}: {problem}; {len(DELAYS) + 1} attempts") from problem
        time.sleep(DELAYS[idle - 1])


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _validator(headers: http.client.HTTPMessage) -> str | None:
    """What tells one version of a file from another: a strong ETag, else the date."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _range_start(response: http.client.HTTPResponse) -> int | None:
    """First byte of a partial answer, None for a whole one."""
    if response.status != 206:
        return None
    return int(response.headers.get("Content-Range", "bytes 0-").removeprefix("bytes ").partition("-")[0])


def _piece(url: str, part: Path, version: Path) -> None:
    """Bring what `part` lacks; begin anew when the server's file is not the one that `part` began with."""
    have = _size(part) if version.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "qualiclip"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version.read_text())
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as e:
        if have and e.code == 416:  # nothing behind these bytes: the part is not a beginning of this file
            part.unlink()
            raise _Cut(f"{part} does not fit the server's file") from e
        raise
    with response:
        start = _range_start(response)
        if start is None:  # the whole file, because it changed or because the server knows no ranges
            have = 0
        elif start != have:
            part.unlink(missing_ok=True)
            raise _Cut(f"the server sent bytes from {start} on, not from {have}")
        told = _validator(response.headers)
        version.unlink(missing_ok=True)
        if told:
            version.write_text(told)
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        require_space(part.parent, (total or 0) - have, url)
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
        with bar, part.open("ab" if have else "wb") as out:
            while chunk := response.read(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
    if total is not None and _size(part) != total:
        raise _Cut(f"{_size(part)} of {total} bytes came")


def from_http(url: str, target: Path) -> None:
    """Download `url` to `target`, on from what an earlier attempt left. Raises FetchError."""
    part, version = (target.with_name(target.name + s) for s in (".part", ".part.version"))
    persistently(lambda: _piece(url, part, version), lambda: _size(part), url)
    os.replace(part, target)
    version.unlink(missing_ok=True)


def from_gdrive(file_id: str, target: Path) -> None:
    """Download a Google Drive file by its id. Raises FetchError."""
    import gdown
    from gdown.exceptions import DownloadError

    part = target.with_name(target.name + ".part")
    what = f"Google Drive id {file_id}"

    def attempt() -> None:
        try:
            said = gdown.download(id=file_id, output=str(part), resume=True)
        except DownloadError as e:  # no permission, quota used up, no such file
            raise FetchError(f"{what}: {e}") from e
        if said is None or not part.is_file():
            raise _Cut("nothing came")

    persistently(attempt, lambda: _size(part), what)
    os.replace(part, target)


def from_huggingface(place: str, target: Path) -> None:
    """Download owner/repository/path of a public Hugging Face dataset repository. Raises FetchError."""
    from huggingface_hub import hf_hub_url

    owner, repository, path = place.split("/", 2)
    from_http(hf_hub_url(f"{owner}/{repository}", path, repo_type="dataset"), target)


def download(item: Download, target: Path) -> None:
    """Bring one file of a card from its source. Raises FetchError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if item.url:
        from_http(item.url, target)
    elif item.gdrive:
        from_gdrive(item.gdrive, target)
    elif item.huggingface:
        from_huggingface(item.huggingface, target)
    else:
        raise FetchError(f"{item.filename} must be fetched by hand ({item.manual})")
