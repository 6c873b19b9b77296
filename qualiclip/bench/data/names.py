"""The one matcher of names: which file a label means, and which image a score from elsewhere belongs to.

Two names mean the same image although they are written in different ways: with or without folders in front, with
another slash, in another case or Unicode form, without the suffix. What could mean two images is refused.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from qualiclip.folders import is_image

Parts = tuple[str, ...]  # of a path, from its first folder to the name of the file
SPELLINGS = {".jfif": ".jpg", ".jpe": ".jpg", ".jpeg": ".jpg", ".tiff": ".tif"}


class AmbiguousName(ValueError):
    """A name that could mean several images. The message names them."""


def parts(name: str) -> Parts:
    """Folders and file of a name, in lower case and in one Unicode form; both slashes separate."""
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())
    return tuple(p for p in text.replace("\\", "/").split("/") if p not in ("", "."))


def _plain(p: Parts, suffix: bool) -> Parts:
    """The parts with one spelling of the file's suffix, or without the suffix of an image."""
    if not p or not is_image(p[-1]):
        return p
    file = PurePosixPath(p[-1])
    return (*p[:-1], file.stem + (SPELLINGS.get(file.suffix, file.suffix) if suffix else ""))


def _shared_folders(paths: Iterable[Parts]) -> int:
    """How many folders all paths begin with."""
    folders = [p[:-1] for p in paths]
    if not folders:
        return 0
    first, last = min(folders), max(folders)  # what they share, all between them do
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


class _Endings:
    """Images by the ends of their paths."""

    def __init__(self, images: dict[str, Parts], names: list[Parts], taken: set[str]):
        """names: all that are to be matched. taken: images of which the whole path was among them."""
        self.images, self.spare, self.taken = images, _shared_folders(names), taken
        self.ends: dict[Parts, list[str]] = defaultdict(list)
        self.whole: dict[Parts, list[str]] = defaultdict(list)  # paths, without some of the folders that all share
        shared = _shared_folders(images.values())
        for image, p in images.items():
            for i in range(len(p)):
                self.ends[p[i:]].append(image)
                if i <= shared:
                    self.whole[p[i:]].append(image)

    def find(self, p: Parts) -> list[str]:
        """Images that share the longest end with a name; of those, the ones with the fewest further folders."""
        for i in range(len(p)):
            found = self.ends.get(p, []) if i == 0 else self.whole.get(p[i:], [])
            if i:  # folders are left over in front of the name: all names must share them, or the image has no more
                found = [f for f in found if i <= self.spare or len(self.images[f]) == len(p) - i]
                found = [f for f in found if f not in self.taken]
            if found:
                fewest = min(len(self.images[f]) for f in found)
                return [f for f in found if len(self.images[f]) == fewest]
        return []


def match(names: list[str], images: list[str]) -> list[str | None]:
    """The image that each name means, None where there is none.

    The same text is best, then the same path in another case or Unicode form, then the same end of the path, where
    folders in front are missing on one side or are those that all names, or all images, share; then the same without
    its suffix, for a name that has none. Raises AmbiguousName.
    """
    known = set(images)
    found: dict[str, str] = {n: n for n in names if n in known}
    by_parts: dict[str, Parts] = {i: parts(i) for i in images}
    wanted: dict[str, Parts] = {n: parts(n) for n in dict.fromkeys(names)}
    # the same path
    same: dict[Parts, list[str]] = defaultdict(list)
    for image, p in by_parts.items():
        same[p].append(image)
    for name, p in wanted.items():
        if name not in found and p in same:
            found[name] = _only(name, same[p])
    # the same end, with the suffix and without
    for suffix in (True, False):
        todo = [n for n in wanted if n not in found and (suffix or not is_image(n))]
        if todo:
            plain = {i: _plain(p, suffix) for i, p in by_parts.items()}
            endings = _Endings(plain, [_plain(p, suffix) for p in wanted.values()], set(found.values()))
            found |= {n: _only(n, c) for n in todo if (c := endings.find(_plain(wanted[n], suffix)))}
    return [found.get(n) for n in names]


def _only(name: str, candidates: list[str]) -> str:
    """The only candidate. Raises AmbiguousName for more."""
    if len(candidates) > 1:
        more = ", ..." if len(candidates) > 5 else ""
        raise AmbiguousName(f"{name} could mean {', '.join(sorted(candidates)[:5])}{more}")
    return candidates[0]
