"""Outputs appear whole or not at all; a file that cannot be used is named, with what to do about it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REMEDIES = {  # what a user can do where a file cannot be written
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space of your quota",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.EROFS: "make it writable, or choose another folder by --config results=DIR data=DIR",
}


class DamagedFile(ValueError):
    """A file that is not whole, or not what its name says; the message names it and the remedy."""


def command(main: Callable[[], None]) -> None:
    """Run a job's `main`. A file that cannot be used ends it with one line, which a traceback would bury."""
    try:
        main()
    except DamagedFile as e:
        sys.exit(f"error: {e}")
    except OSError as e:
        if e.errno not in REMEDIES or e.filename is None:
            raise
        sys.exit(f"error: {e.filename}: {e.strerror}; {REMEDIES[e.errno]}, then run the same command again")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, renamed to it if the block succeeds, removed if not.

    Raises OSError naming `path` where the disk is full, whatever the library that wrote raised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    os.chmod(name, 0o644)
    try:
        yield Path(name)
        with open(name, "rb") as f:
            os.fsync(f.fileno())  # else a power cut could leave the new name with old or no bytes
        os.replace(name, path)
    except Exception as e:
        if getattr(e, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or shutil.disk_usage(path.parent).free == 0:
            number = getattr(e, "errno", None) or errno.ENOSPC  # torch and safetensors have errors of their own
            raise OSError(number, os.strerror(number), str(path)) from e
        raise
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place if the block succeeds, and goes if not."""
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


def write_text(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises DamagedFile."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise DamagedFile(f"{path}: not whole ({e}); remove it and run the same command again") from e
