"""The one walker of folders: which files in them are the images of a set, or of a command."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from qualiclip.images import SUFFIXES

MACOS = "__MACOSX"  # what its archiver leaves beside the files of an archive


@dataclass
class Folder:
    """What a walk has found, as paths relative to the folder, with "/" between their parts."""

    images: list[str] = field(default_factory=list)  # sorted
    unreadable: list[str] = field(default_factory=list)  # subfolders that could not be listed
    left_out: Counter[str] = field(default_factory=Counter)  # kind of file -> how many

    def note(self) -> str:
        """What was left out, in words; empty for nothing."""
        return ", ".join(f"{n} {kind}" for kind, n in self.left_out.most_common())


def hidden(name: str) -> bool:
    """Whether a file or folder is left out by its name: .name, ._name, __MACOSX."""
    return name.startswith(".") or name == MACOS


def is_image(name: str) -> bool:
    """Whether a file counts as an image by its suffix, in any case."""
    return PurePath(name).suffix.lower() in SUFFIXES


def walk(root: Path) -> Folder:
    """All image files in a folder and its subfolders.

    A file is an image by its suffix (`SUFFIXES`, in any case); whether it can be read is found out when it is opened.
    Links to files and folders are followed, and each folder is read once, whatever links lead to it. Hidden files and
    folders and __MACOSX are left out, and counted, like files of other kinds.
    """
    found = Folder()

    def failed(e: OSError) -> None:
        found.unreadable.append(os.path.relpath(e.filename, root))

    for folder, files in _folders(root, failed):
        for name in files:
            if hidden(name):
                found.left_out["hidden"] += 1
            elif is_image(name):
                found.images.append(folder + name)
            else:
                found.left_out[PurePath(name).suffix.lower() or "without a suffix"] += 1
    found.images.sort()
    return found


def _folders(root: Path, failed: Callable[[OSError], None] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Each folder that is not hidden, as a prefix of relative paths ("" or "a/b/"), and the names of its files."""
    visited = set()
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=failed):
        real = os.stat(folder)
        if (real.st_dev, real.st_ino) in visited:
            subfolders.clear()
            continue
        visited.add((real.st_dev, real.st_ino))
        # in order, so that of several links to one folder the same one is taken every time
        subfolders[:] = sorted(d for d in subfolders if not hidden(d))
        yield "" if folder == str(root) else f"{os.path.relpath(folder, root)}/", files


def fingerprint(root: Path) -> str:
    """A digest of the names, sizes and times of change of all files that `walk` sees: it tells whether any changed."""
    state = hashlib.sha256()
    for folder, files in _folders(root):
        for name in sorted(f for f in files if not hidden(f)):
            try:
                facts = os.stat(root / (folder + name))
                line = f"{folder}{name}\0{facts.st_size}\0{facts.st_mtime_ns}\n"
            except OSError as e:
                line = f"{folder}{name}\0{e.strerror}\n"
            state.update(line.encode(errors="surrogateescape"))
    return state.hexdigest()[:16]
