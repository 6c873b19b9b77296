"""Weights of released models, fetched into the cache of a library like the files of a dataset: mirror first, verified.

A library that has its file in its cache does not use the network, so that jobs run on nodes without one. Many names
end in the first digits of the file's SHA-256, as torch.hub has it: CNNIQA_koniq10k-e6f14c91.pth. They are checked.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from qualiclip.bench.cards.base import encrypted
from qualiclip.bench.cards.dataset import Download
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.data.fetch import digest_file, file_lock, obtain, record_digest, verify
from qualiclip.io import atomic

# library -> address of its weight files, where `place` is called without one
SOURCES = {"pyiqa": "https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/{file}"}
NAMED_HASH = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")  # the end of a name that states the file's SHA-256


def place(
    file: str,
    cache: Path,
    mirror: Path | None = None,
    library: str = "pyiqa",
    url: str | None = None,
    sha256: str | None = None,
) -> Path:
    """The path of a weight file in the cache folder of a library, where it is placed unless it is there already.

    It comes from mirror/<library>/<file>, else from `url` (None: the one of SOURCES). sha256: of the file; None: its
    first digits where they end its name. Where it is not known whole, the SHA-256 of the first download is recorded in
    cache/.digests, and later ones must have the same.
    Raises FetchError "<file> could not be fetched from <source>; put it at <mirror>/<library>/<file>", also for a file
    with another SHA-256.
    """
    # where the file goes, and where its SHA-256 is recorded
    url = url or SOURCES.get(library, "{file}").format(file=file)
    if not encrypted(url):
        raise FetchError(f"{file}: {url} is not https, so that the file could be changed on the way")
    named = NAMED_HASH.search(file)
    item = Download(filename=file, url=url, sha256=sha256 or (named and named[1]))
    target, digests = cache / file, cache / ".digests"
    record = digest_file(library, item, digests)
    try:
        digests.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise FetchError(f"{cache} cannot be written ({e.strerror}); set TORCH_HOME to a folder that can be") from e
    # one job at a time: the file of the cache, or a new copy
    with file_lock(digests / f"{library}-{file}.lock"):
        try:
            if target.is_file():
                verify(target, item, record)
                return target
            path, digest = obtain(library, item, cache, digests, mirror)
        except FetchError as e:
            source = item.in_mirror(library, mirror) or url
            remedy = f"put it at {mirror or 'DIR'}/{library}/{file}" + ("" if mirror else " and give mirror=DIR")
            raise FetchError(f"{file} could not be fetched from {source}; {remedy} ({e})") from e
        record_digest(digest, item, record)
        if path != target:
            with atomic(target) as temporary:
                shutil.copyfile(path, temporary)
    return target
