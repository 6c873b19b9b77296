"""Weights of other people's models, through the same fetcher and the same mirror as the datasets.

A library that finds its file in its cache does not look for a network; so a node without one runs.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from qualiclip.bench.cards.dataset import Download
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.data.fetch import file_lock, in_mirror, obtain, record_of, remember, verify
from qualiclip.io import atomic

SOURCES = {"pyiqa": "https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/{file}"}


def place(
    file: str,
    cache: Path,
    mirror: Path | None = None,
    library: str = "pyiqa",
    url: str | None = None,
    sha256: str | None = None,
) -> Path:
    """The path of a weight file in a library's cache folder, brought there if need be.

    It comes from the cache, else from mirror/<library>/<file>, else from `url` (by default the library's own
    place). A SHA-256 that is not given is recorded in cache/.digests and enforced later.
    Raises FetchError "<file> could not be fetched from <where>; put it at <mirror>/<library>/<file>".
    """
    url = url or SOURCES.get(library, "{file}").format(file=file)
    item = Download(filename=file, url=url, sha256=sha256)
    target, digests = cache / file, cache / ".digests"
    record = record_of(library, item, digests)
    try:
        digests.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise FetchError(f"{cache} cannot be written ({e.strerror}); set TORCH_HOME to a folder that can be") from e
    with file_lock(digests / f"{library}-{file}.lock"):
        try:
            if target.is_file():
                verify(target, item, record)
                return target
            path, found = obtain(library, item, cache, digests, mirror)
        except FetchError as e:
            here = f"{mirror or 'DIR'}/{library}/{file}" + ("" if mirror else " and give mirror=DIR")
            where = in_mirror(library, item, mirror) or url
            raise FetchError(f"{file} could not be fetched from {where}; put it at {here} ({e})") from e
        remember(found, item, record)
        if path != target:
            with atomic(target) as temporary:
                shutil.copyfile(path, temporary)
    return target
