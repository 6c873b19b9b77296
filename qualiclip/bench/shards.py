"""A large set scored by several jobs, each of which writes a shard of the score file: row, image, score, error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from qualiclip.bench import provenance
from qualiclip.bench.files import DamagedFile
from qualiclip.bench.tabular import read_scores

FORM = {"index": True, "index_label": "row"}  # how pandas writes a shard; the rows' numbers are those of the index


def number(text: str) -> tuple[int, int]:
    """K/N -> (K, N). Raises ValueError for K outside 1..N."""
    k, n = map(int, text.split("/"))
    if not 1 <= k <= n:
        raise ValueError(f"shard {text}: K/N with K from 1 to N")
    return k, n


def merge(files: list[Path], index: pd.DataFrame) -> pd.DataFrame:
    """The score file that the shards make together, to the last bit. Raises DamagedFile where they do not.

    A shard whose method could not be run, while it ran in others, is removed: it is to be tried again.
    """
    tables = {f: read_scores(f, index_col="row") for f in files}
    tables = {f: t for f, t in tables.items() if len(t)}  # fewer batches than shards leave some empty
    refused = {f: t["error"].iloc[0] for f, t in tables.items() if t["error"].str.startswith("not run: ").all()}
    if 0 < len(refused) < len(tables):
        for file in refused:
            file.unlink()
        file, why = next(iter(refused.items()))
        raise DamagedFile(f"{file}: {why}, though other shards ran; run the same command again")
    out = pd.concat(tables.values()).sort_index()
    if not out["image"].equals(index["image"]):
        raise DamagedFile(f"{files[0].parent}: its shards are not those of the index; remove it and score again")
    return out


def cost(files: list[Path]) -> dict[str, Any]:
    """What the shards took together, by their sidecars."""
    facts = [provenance.read(f) for f in files]
    seconds, rate = sum(f["seconds"] for f in facts), sum(f["images_per_second"] * f["seconds"] for f in facts)
    return {
        "device": ", ".join(sorted({f["device"] for f in facts})),
        "threads": max(f["threads"] for f in facts),
        "seconds": round(seconds, 3),
        "resumed": sum(f["resumed"] for f in facts),
        "images_per_second": round(rate / seconds, 3),
        "shards": len(files),
    }
