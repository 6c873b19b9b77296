"""Downloads that resume after a broken connection: http(s), Google Drive, Hugging Face.

A file is written as <name>.part and renamed when it is complete. A later attempt, or a later job, resumes where the
last one stopped, provided that the server still has the same file.
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

from qualiclip.bench.cards.base import encrypted

if TYPE_CHECKING:
    from qualiclip.bench.cards.dataset import Download

CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte
DELAYS = (1, 2, 4, 8, 16, 32)  # seconds to wait after the first, second, ... attempt in a row without progress
TEMPORARY = {408, 425, 429, 500, 502, 503, 504}  # HTTP status codes after which another attempt may succeed
RESERVE = 64 << 20  # bytes of the disk that are left free


class FetchError(RuntimeError):
    """A file that could not be fetched. The message names the file, its source and the remedy."""


class Unavailable(FetchError):
    """A file that its source does not give: its host is silent or refuses, or a person has to bring it."""


class Incomplete(OSError):
    """A download that ended before the last byte; another attempt may bring the rest."""


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raises FetchError if the disk of `folder` has less than `needed` bytes free. what: begins the message."""
    free = shutil.disk_usage(folder).free - RESERVE
    if needed > free:
        raise FetchError(f"{what} needs {needed / 1e9:.2f} GB in {folder}, {max(free, 0) / 1e9:.2f} GB are free")


def retry(attempt: Callable[[], None], progress: Callable[[], int], what: str) -> None:
    """Repeat `attempt` while it fails for a temporary reason, with growing pauses.

    progress: returns the bytes downloaded so far. Attempts that bring more of them than ever before do not count
    against the limit of DELAYS. what: begins the message.
    Raises Unavailable after too many attempts without progress, and at once for a reason of the host that is not
    temporary; FetchError for a disk that cannot be written.
    """
    idle, most = 0, progress()
    while True:
        # one attempt; errors that will come again end it
        try:
            return attempt()
        except urllib.error.HTTPError as e:
            if e.code not in TEMPORARY:
                raise Unavailable(f"{what}: HTTP {e.code} {e.reason}") from e
            problem: Exception = e
        except (OSError, http.client.HTTPException) as e:
            if getattr(e, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                raise FetchError(f"{what}: {e}") from e
            problem = e
        # wait, the longer the more attempts in a row made no progress
        idle, most = (1 if progress() > most else idle + 1), max(most, progress())
        if idle > len(DELAYS):
            raise Unavailable(f"{what}: {problem}; {len(DELAYS) + 1} attempts") from problem
        time.sleep(DELAYS[idle - 1])


def _bytes(path: Path) -> int:
    """The size of a file, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def _version(headers: http.client.HTTPMessage) -> str | None:
    """What identifies the server's version of a file: a strong ETag, else the date of its last change, else None."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _range_start(response: http.client.HTTPResponse) -> int | None:
    """Position of the first byte of a partial response; None for a response with the whole file."""
    if response.status != 206:
        return None
    return int(response.headers.get("Content-Range", "bytes 0-").removeprefix("bytes ").partition("-")[0])


def _resume(url: str, part: Path, version: Path) -> None:
    """Download what `part` lacks, or all of it if the server's file is another than that of the file `version`.

    Raises Incomplete, or an error of urllib.
    """
    # ask for the rest of the same version
    have = _bytes(part) if version.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "qualiclip"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version.read_text())
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as e:
        if have and e.code == 416:  # the server's file is no longer than the part, which is not a part of it then
            part.unlink()
            raise Incomplete(f"{part} does not fit the server's file") from e
        raise
    with response:
        if not encrypted(response.url):
            raise FetchError(f"{url} leads to {response.url}, which is not https")
        if response.headers.get_content_type() == "text/html":
            raise Unavailable(f"{url}: it gives a web page, not the file")
        # where the response begins, and of which version it is
        start = _range_start(response)
        if start is None:  # the whole file, because it has changed or because the server does not support ranges
            have = 0
        elif start != have:
            part.unlink(missing_ok=True)
            raise Incomplete(f"the server sent bytes from {start} on, not from {have}")
        version.unlink(missing_ok=True)
        if identifier := _version(response.headers):
            version.write_text(identifier)
        # its bytes
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        require_space(part.parent, (total or 0) - have, url)
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
        with bar, part.open("ab" if have else "wb") as out:
            while chunk := response.read(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
    if total is not None and _bytes(part) != total:
        raise Incomplete(f"received {_bytes(part)} of {total} bytes")


def from_http(url: str, target: Path) -> None:
    """Download `url` to the file `target`; resumes an earlier attempt. Raises FetchError."""
    part, version = (target.with_name(target.name + s) for s in (".part", ".part.version"))
    retry(lambda: _resume(url, part, version), lambda: _bytes(part), url)
    os.replace(part, target)
    version.unlink(missing_ok=True)


def from_gdrive(file_id: str, target: Path) -> None:
    """Download a public Google Drive file to the file `target`; resumes an earlier attempt. Raises FetchError."""
    import gdown
    from gdown.exceptions import DownloadError

    part = target.with_name(target.name + ".part")
    what = f"Google Drive id {file_id}"

    def attempt() -> None:
        try:
            path = gdown.download(id=file_id, output=str(part), resume=True)
        except DownloadError as e:  # no permission, its quota is used up, or there is no such file
            raise Unavailable(f"{what}: {e}") from e
        if path is None or not part.is_file():
            raise Incomplete("received nothing")

    retry(attempt, lambda: _bytes(part), what)
    os.replace(part, target)


def from_huggingface(place: str, target: Path) -> None:
    """Download a file of a public Hugging Face dataset to the file `target`. place: owner/repository/path.

    Resumes an earlier attempt. Raises FetchError.
    """
    from huggingface_hub import hf_hub_url

    owner, repository, path = place.split("/", 2)
    from_http(hf_hub_url(f"{owner}/{repository}", path, repo_type="dataset"), target)


def download(item: Download, target: Path) -> None:
    """Download one file of a card from its source to the file `target`. Raises FetchError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if item.url:
        from_http(item.url, target)
    elif item.gdrive:
        from_gdrive(item.gdrive, target)
    elif item.huggingface:
        from_huggingface(item.huggingface, target)
    else:
        raise Unavailable(f"{item.filename} must be fetched by hand ({item.manual})")
