"""Unpack a release into the folder of a scale, each member checked.

`python -m qualiclip.bench.release.unpack results/mini/release.zip --out rebuilt/mini/release.json`
"""

from __future__ import annotations

import os
import stat
import tempfile
import zipfile
from pathlib import Path

from qualiclip.bench import job
from qualiclip.bench.cards.release import LARGEST, Release, read_release
from qualiclip.bench.data.archive import extract
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.paths import RELEASE_MANIFEST
from qualiclip.io import DamagedFile, sha256


def _check_members(archive: Path, release: Release) -> int:
    """Bytes of all members. Raises DamagedFile for one that may not, or should be there."""
    with zipfile.ZipFile(archive) as z:
        found = z.infolist()
    names = [m.filename for m in found]
    expected = {RELEASE_MANIFEST, *release.members}
    for m in found:
        if m.filename not in expected:
            raise DamagedFile(f"{archive}: {m.filename} is not a member that its {RELEASE_MANIFEST} names")
        if stat.S_ISLNK(m.external_attr >> 16):
            raise DamagedFile(f"{archive}: {m.filename} is a link")
        if m.file_size > LARGEST:
            raise DamagedFile(f"{archive}: {m.filename} is larger than {LARGEST / 1e6:.0f} MB")
    if missing := sorted(expected.difference(names)):
        raise DamagedFile(f"{archive}: {missing[0]} is missing; fetch the release again")
    if len(names) > len(expected):
        raise DamagedFile(f"{archive}: a member is there twice")
    return sum(m.file_size for m in found)


def unpack(archive: Path, root: Path) -> Release:
    """Unpack a release into `root`, all of it or nothing.

    Raises CardError or DamagedFile for an archive that is no release, or holds what a release may not; FetchError for
    one that is cut short, or has no room on the disk.
    """
    release = read_release(archive)
    size = _check_members(archive, release)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".release.") as folder:
        extract(archive, Path(folder), limit=size)
        for name, digest in release.members.items():
            if sha256(Path(folder) / name) != digest:
                raise DamagedFile(f"{archive}: {name} is not the file that its SHA-256 says; fetch the release again")
        for name in [*release.members, RELEASE_MANIFEST]:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(Path(folder) / name, root / name)
    return release


def main() -> None:
    parser = job.parser("Unpack a release of scores.", "--out")
    parser.add_argument("release", type=Path, help="the archive")
    args = parser.parse_args()
    try:
        unpack(args.release, args.out.parent)
    except FetchError as e:
        raise DamagedFile(e) from e


if __name__ == "__main__":
    job.run(main)
