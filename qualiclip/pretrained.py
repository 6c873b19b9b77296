"""Weights by name: those in this package, and the authors' release, which is fetched once into torch.hub's cache."""

from __future__ import annotations

import http.client
import os
import shutil
import sys
import urllib.request
from pathlib import Path

from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from qualiclip.config import WEIGHTS
from qualiclip.io import atomic, sha256

SHIPPED = Path(__file__).parent / "weights"  # a checkpoint folder for each name
DEFAULT = "bsds500"
RELEASED = "released"
AUTHORS_RELEASE = "https://github.com/miccunifi/QualiCLIP/releases/download/weights/qualiclip.pth"
AUTHORS_LICENSE = "CC BY-NC 4.0"
TIMEOUT = 60  # seconds without a byte


class WeightsError(ValueError):
    """Weights that cannot be had. The message is one line with the remedy."""


def names() -> list[str]:
    """The names that `locate` knows."""
    return [*sorted(f.parent.name for f in SHIPPED.glob(f"*/{WEIGHTS}")), RELEASED]


def locate(name: str) -> Path:
    """The checkpoint of a name: a folder of this package, or the authors' file. Raises WeightsError."""
    if name not in names():
        raise WeightsError(f"no weights have the name {name!r}; known: {', '.join(names())}")
    return released() if name == RELEASED else SHIPPED / name


def shipped_reference(name: str) -> Path:
    """The scores of a reference set by the weights of a name. Raises WeightsError where none are in the package."""
    files = sorted((SHIPPED / name).glob("reference/*.csv")) if name in names() else []
    if not files:
        remedy = "score a folder of yours with --format csv, and name the file: --reference scores.csv"
        raise WeightsError(f"no reference for the weights {name} is in this package; {remedy}")
    return files[0]


def released() -> Path:
    """The authors' qualiclip.pth in the cache of torch.hub (TORCH_HOME), fetched unless it is there.

    Address, size and licence are said on the error stream before, the SHA-256 after: the release states none, so that
    the first download is trusted. Raises WeightsError where it cannot be fetched.
    """
    from torch import hub  # here, since the names are wanted without torch

    file = Path(hub.get_dir()) / "checkpoints" / "qualiclip.pth"
    if file.is_file():
        return file
    try:
        with urllib.request.urlopen(AUTHORS_RELEASE, timeout=TIMEOUT) as response, atomic(file) as temporary:
            size = int(response.headers.get("Content-Length", 0))
            known = f"{size / 1e6:.0f} MB" if size else "size not stated"
            print(f"fetching {AUTHORS_RELEASE}, {known}, {AUTHORS_LICENSE}, into {file}", file=sys.stderr)
            _receive(response, temporary, size)
            print(f"SHA-256 {sha256(temporary)}; the authors state none to compare it with", file=sys.stderr)
    except (OSError, http.client.HTTPException) as e:  # of the network, or of the disk
        remedy = f"where there is a network, fetch {AUTHORS_RELEASE} and name the file: --weights qualiclip.pth"
        raise WeightsError(f"the authors' weights cannot be fetched ({getattr(e, 'reason', e)}); {remedy}") from e
    return file


def _receive(response, file: Path, size: int) -> None:
    """Write what a server sends to a file. Raises OSError for a page of text and for less than `size` bytes."""
    if not response.url.startswith("https:") or response.headers.get_content_type() == "text/html":
        raise OSError(f"{response.url} is not the file")
    bar = tqdm(total=size or None, unit="B", unit_scale=True, desc=file.suffix, disable=not sys.stderr.isatty())
    with bar, file.open("wb") as out:
        shutil.copyfileobj(CallbackIOWrapper(bar.update, response), out)
    if size and os.path.getsize(file) != size:
        raise OSError(f"{os.path.getsize(file)} of {size} bytes came")
