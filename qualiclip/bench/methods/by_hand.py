"""Weights that their authors share in a way that no script can rely on: a person puts them into the mirror."""

from __future__ import annotations

from pathlib import Path

from qualiclip.bench.methods.contract import NotRun


def by_hand(mirror: Path | None, folder: str, file: str, source: str) -> Path:
    """The path mirror/<folder>/<file>. source: where a person gets it. Raises NotRun, with the remedy, if it is not
    there."""
    path = (mirror or Path("DIR")) / folder / file
    if mirror and path.is_file():
        return path
    raise NotRun(
        f"{file} could not be fetched from {source}; put it at {path}" + ("" if mirror else " and give mirror=DIR")
    )
