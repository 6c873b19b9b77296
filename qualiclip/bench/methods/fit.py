"""Fit a method's model to pristine photos, once per scale.

`python -m qualiclip.bench.methods.fit baselines/niqe-fit.yaml datasets/bsds500.yaml --index ... --out fitted/niqe-fit`
For a card with `fit: true`: its class is created with fitted=<out>, and fit(files, out, device) writes that file.
"""

from __future__ import annotations

from typing import Any

import torch

from qualiclip.bench import job
from qualiclip.bench.absence import leave_reason
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import read_index
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.methods.load import create
from qualiclip.io import atomic


def main() -> None:
    names = (*job.METHOD, "dataset", "--index", "--raw", "--mirrored", "--out")
    args = job.parser("Fit a method's model to pristine photos.", *names).parse_args()
    torch.set_num_threads(1)  # many small operations: more threads cost more than they bring
    if job.absent([args.index], args.out):
        return
    card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
    files = [args.raw / dataset.name / f for f in read_index(args.index)["image"]]
    reason = ""
    with atomic(args.out) as temporary:
        method: Any = create(card, args.checkpoint, args.mirror, args.trust, fitted=temporary)
        try:
            method.fit(files, temporary, job.device("cpu" if card.input.device == "cpu" else args.device))
        except NotRun as e:
            reason = str(e)  # the score files state it, and the rest of the workflow goes on
    if reason:
        leave_reason(args.out, reason)
    job.record(args.out, card, dataset, args.index, complete=not reason, reason=reason, mirrored=args.mirrored)


if __name__ == "__main__":
    job.run(main)
