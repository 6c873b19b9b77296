"""Fit a method's model to pristine photos, once a scale.

`python -m qualiclip.bench.fit baselines/niqe-fit.yaml datasets/bsds500.yaml --index ... --out fitted/niqe-fit.npz`
For a card with `fit: true`: its class is made with `fitted=<out>`, and `fit(files, out)` writes that file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from qualiclip.bench import provenance
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard, MethodCard
from qualiclip.bench.files import atomic, command, sha256
from qualiclip.bench.methods import NotRun, create
from qualiclip.bench.tabular import read_index
from qualiclip.tensors import pick_device


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit a method's model to pristine photos.")
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml, a card with fit")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml of the pristine set")
    parser.add_argument("--index", type=Path, required=True, help="the pristine set's index")
    parser.add_argument("--raw", type=Path, required=True, help="raw root")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint folder of the card's variant")
    parser.add_argument("--mirror", type=Path, help="folder whose pyiqa/<file> is taken in place of the network")
    parser.add_argument("--found", nargs="*", default=[], help="weights that the workflow saw in the mirror; recorded")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)  # many small operations: threads cost more than they bring
    try:
        card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        files = [args.raw / dataset.name / f for f in read_index(args.index)["image"]]
        refused = ""
        with atomic(args.out) as temporary:
            method = create(card, args.checkpoint, args.mirror, fitted=temporary)
            try:
                method.fit(files, temporary, pick_device("cpu" if card.input.device == "cpu" else args.device))
            except NotRun as e:
                refused = str(e)  # the scores say why, and the rest of the workflow goes on
                temporary.write_bytes(b"")
    except CardError as e:
        sys.exit(f"error: {e}")
    facts = {"complete": not refused, "refused": refused, "found": args.found}
    provenance.record(
        args.out, method=card.name, card=card.score_digest(), dataset=dataset.name, index=sha256(args.index), **facts
    )


if __name__ == "__main__":
    command(main)
