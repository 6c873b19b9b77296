"""Merge the shards of a score file: a large set is scored by several jobs, each of which writes a shard.

`python -m qualiclip.bench.score.shards baselines/piqe.yaml datasets/pipal.yaml --index ... --shards FILES --out ...`
A shard has the columns row, image, score, error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from qualiclip.bench import job, provenance
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import read_index, read_scores, refusal, write_csv
from qualiclip.io import DamagedFile

FORMAT = {"index": True, "index_label": "row"}  # how pandas writes a shard; rows are numbered as in the index


def number(text: str) -> tuple[int, int]:
    """K/N -> (K, N). Raises ValueError for K outside 1..N."""
    k, n = map(int, text.split("/"))
    if not 1 <= k <= n:
        raise ValueError(f"shard {text}: K/N with K from 1 to N")
    return k, n


def merge(files: list[Path], index: pd.DataFrame) -> pd.DataFrame:
    """The score file of the shards, to the last bit. Raises DamagedFile where they do not fit together.

    A shard whose method could not be run, while it ran in others, is removed, so that it is tried again.
    """
    tables = {f: read_scores(f, index_col="row") for f in files}
    tables = {f: t for f, t in tables.items() if len(t)}  # with fewer batches than shards, some are empty
    refused = {f: why for f, t in tables.items() if (why := refusal(t))}
    if 0 < len(refused) < len(tables):
        for file in refused:
            file.unlink()
        file, why = next(iter(refused.items()))
        raise DamagedFile(f"{file}: not run: {why}, though other shards ran; run the same command again")
    scores = pd.concat(tables.values()).sort_index()
    if not scores["image"].equals(index["image"]):
        raise DamagedFile(f"{files[0].parent}: its shards are not those of the index; remove it and score again")
    return scores


def total_cost(files: list[Path]) -> dict[str, Any]:
    """What the shards took together, by their sidecars."""
    facts = [provenance.read(f) for f in files]
    seconds, images = sum(f["seconds"] for f in facts), sum(f["images_per_second"] * f["seconds"] for f in facts)
    return {
        "device": ", ".join(sorted({f["device"] for f in facts})),
        "threads": max(f["threads"] for f in facts),
        "seconds": round(seconds, 3),
        "resumed": sum(f["resumed"] for f in facts),
        "images_per_second": round(images / seconds, 3),
        "checkpoint": facts[0].get("checkpoint"),
        "shards": len(files),
    }


def main() -> None:
    parser = job.parser("Merge the shards of a score file.", "method", "dataset", "--index", "--mirrored", "--out")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="the files of all N jobs")
    args = parser.parse_args()
    if job.absent([args.index], args.out, shards=len(args.shards)):
        return
    card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
    scores = merge(args.shards, read_index(args.index))
    write_csv(scores, args.out)
    failed = int((scores["error"] != "").sum())
    facts = {"failed": failed, "complete": not refusal(scores), "mirrored": args.mirrored}
    job.record(args.out, card, dataset, args.index, **facts, **total_cost(args.shards))


if __name__ == "__main__":
    job.run(main)
