"""The score file of a method on a set of which only the labels are here: every row says why it has no score.

`python -m qualiclip.bench.unseen baselines/piqe.yaml datasets/spaq.yaml --index ... --out ...`
It asks for no checkpoint, fit or weights, and takes no time: a table with published scores alone trains nothing.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import pandas as pd

from qualiclip.bench import provenance
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard, MethodCard
from qualiclip.bench.files import atomic, command, sha256
from qualiclip.bench.tabular import read_index


def unseen(index: pd.DataFrame, dataset: DatasetCard) -> pd.DataFrame:
    """image, score (NaN), error, in the order of the index."""
    why = f"not run: the images of {dataset.title} are not here, only its labels"
    return pd.DataFrame({"image": index["image"], "score": math.nan, "error": why})


def main() -> None:
    parser = argparse.ArgumentParser(description="Say of a method why it has no scores of a set without images.")
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml")
    parser.add_argument("--index", type=Path, required=True, help="the dataset's index")
    parser.add_argument("--out", type=Path, required=True, help="scores/<method>/<dataset>.csv")
    args = parser.parse_args()
    try:
        card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        index = read_index(args.index)
    except CardError as e:
        sys.exit(f"error: {e}")
    with atomic(args.out) as temporary:
        unseen(index, dataset).to_csv(temporary, index=False)
    provenance.record(
        args.out,
        method=card.name,
        card=card.score_digest(),
        dataset=dataset.name,
        index=sha256(args.index),
        failed=len(index),
        complete=False,
        found=[],
    )


if __name__ == "__main__":
    command(main)
