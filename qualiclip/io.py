"""Files and digests: outputs appear whole or not at all, and a damaged input is named with its remedy."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
REMEDY = "remove it and run the same command again"


class DamagedFile(ValueError):
    """A file that is incomplete, or not what its name says. The message names the file and the remedy."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`. It takes the name `path` if the block succeeds, else it is removed.

    Raises OSError naming `path` when the disk is full, whatever error the writing library raised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    os.chmod(name, 0o644)
    try:
        yield Path(name)
        with open(name, "rb") as f:
            os.fsync(f.fileno())  # otherwise a power cut could leave the new name with old or no bytes
        os.replace(name, path)
    except Exception as e:
        if getattr(e, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or shutil.disk_usage(path.parent).free == 0:
            number = getattr(e, "errno", None) or errno.ENOSPC  # torch and safetensors raise errors of their own
            raise OSError(number, os.strerror(number), str(path)) from e
        raise
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`. It replaces `path` if the block succeeds, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{path.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def printable(path: Path | str) -> str:
    """A path on one line of text: control characters and bytes that are no text become \\n, \\x.. and the like."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda m: repr(m[0])[1:-1], text)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises DamagedFile."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise DamagedFile(f"{path}: not a complete JSON file ({e}); {REMEDY}") from e


def sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def digest(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
