"""What a release of scores says of itself: release.json, the first member of its archive."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from qualiclip.bench.cards.base import CardError, Strict, parse
from qualiclip.bench.paths import RELEASE_MANIFEST, Paths

PROTOCOL = 1  # of docs/protocol.md: raised when the same score files would give other numbers
LARGEST = 1 << 28  # bytes of a member
_PATHS = Paths(Path(), Path())
_FILES = [_PATHS.index(""), _PATHS.scores("", ""), _PATHS.metrics("", ""), _PATHS.train_record("x")]
_FILES += [_PATHS.intensity(""), _PATHS.sizes(""), _PATHS.degradations(""), _PATHS.explain(""), _PATHS.efficiency("")]
PLACES = {f.parts[0] for f in [*_FILES, _PATHS.released_weights]}  # folders and files that a release may hold
NAME = re.compile(r"[A-Za-z0-9][\w.+-]*(/[A-Za-z0-9][\w.+-]*)*\.(csv|json|npz)", re.ASCII)


def _inside(member: str) -> str:
    if not NAME.fullmatch(member) or re.split("/|[.]provenance", member)[0] not in PLACES:
        raise ValueError(f"{member!r} is no file that a release may hold")
    return member


class Release(Strict):
    """The first member of a release: what its run was, and what the others are."""

    protocol: int = Field(description="version of the protocol that its numbers follow")
    revisions: list[str] = Field(description="code that computed the scores")
    datasets: dict[str, int] = Field(description="dataset card -> its version")
    config: dict[str, Any] = Field(description="the run's config, with the names of its datasets and methods")
    members: dict[Annotated[str, AfterValidator(_inside)], str] = Field(
        description="path under results/<scale>/ -> SHA-256"
    )


def read_release(archive: Path) -> Release:
    """The manifest of a release; the other members are not read. Raises CardError."""
    try:
        with zipfile.ZipFile(archive) as z:
            if z.getinfo(RELEASE_MANIFEST).file_size > LARGEST:
                raise ValueError(f"its {RELEASE_MANIFEST} is too large")
            content = json.loads(z.read(RELEASE_MANIFEST))
            if not isinstance(content, dict) or "scale" not in content.get("config", {}):
                raise ValueError(f"its {RELEASE_MANIFEST} names no scale")
    except FileNotFoundError:
        raise CardError(f"release={archive}: there is no such file") from None
    except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as e:
        raise CardError(f"{archive}: not a whole release of scores ({e}); fetch it again") from e
    release = parse(Release, archive, content)
    if release.protocol != PROTOCOL:
        raise CardError(
            f"{archive}: follows protocol {release.protocol}, this code {PROTOCOL}; "
            f"use the code that it was made with ({', '.join(release.revisions)})"
        )
    return release
