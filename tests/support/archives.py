"""Archives with given members, as tests of downloads and of unpacking need them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path


def zipped(**files: bytes) -> bytes:
    """A zip file of texts; two underscores in a name stand for a folder."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in files.items():
            z.writestr(name.replace("__", "/") + ".txt", content)
    return out.getvalue()


def tarred(path: Path, mode: str, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, mode) as t:
        for info, content in members:
            info.size = len(content)
            t.addfile(info, io.BytesIO(content))
    return path
