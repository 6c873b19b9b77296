"""Weights that libraries download: from the mirror where it has them, and a failure that says what to do.

pyiqa keeps its files in torch.hub's folder and fetches what is not there with torch.hub's own function
(CLIP's with a function of its own). While `from_mirror` lasts, those two look at mirror/pyiqa/<file>
first; once fetched, a file lies in the library's cache as always.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote, urlparse

from qualiclip.bench.files import atomic

STORE = "pyiqa"


class WeightsError(OSError):
    """A file that could not be had; the message says which, from where, and where to put it."""


def place(file: str, mirror: Path | None) -> str:
    """Where a person puts a file by hand, in words. `file` is a path below the mirror."""
    return str(mirror / file) if mirror else f"DIR/{file} and give mirror=DIR"


def _obtain(url: str, target: Path, mirror: Path | None, download: Callable[[], object]) -> None:
    file = f"{STORE}/{target.name}"
    if mirror and (mirror / file).is_file():
        with atomic(target) as temporary:
            shutil.copyfile(mirror / file, temporary)
        return
    try:
        download()
    except (OSError, RuntimeError) as e:  # RuntimeError: a digest that is not the one in the name
        where = urlparse(url)
        raise WeightsError(
            f"{target.name} could not be fetched from {where.netloc}{where.path}; put it at {place(file, mirror)}"
        ) from e


@contextmanager
def from_mirror(mirror: Path | None) -> Iterator[None]:
    """While it lasts, pyiqa and torch.hub take files from `mirror`, and raise WeightsError for what they cannot get."""
    import torch.hub
    from pyiqa.archs import clip_model
    from pyiqa.utils import download_util

    hub, clip = torch.hub.download_url_to_file, clip_model._download

    def from_hub(url: str, dst: str, *args, **kwargs) -> None:
        _obtain(url, Path(dst), mirror, lambda: hub(url, dst, *args, **kwargs))

    def from_clip(url: str, root: str | None = None) -> str:
        folder = Path(root or "~/.cache/clip").expanduser()
        target = folder / Path(unquote(urlparse(url).path)).name
        if not target.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _obtain(url, target, mirror, lambda: clip(url, str(folder)))
        return clip(url, str(folder))  # checks the digest of what is there

    with (
        patch.object(torch.hub, "download_url_to_file", from_hub),
        patch.object(download_util, "download_url_to_file", from_hub),
        patch.object(clip_model, "_download", from_clip),
    ):
        yield
