"""A job that scores the photos of the figures by one method, in ways that its module measures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from qualiclip.bench import job
from qualiclip.bench.absence import leave_reason
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.formats import write_csv
from qualiclip.bench.measure import photos
from qualiclip.bench.methods.contract import Method, NotRun
from qualiclip.bench.methods.load import create

Measure = Callable[[Method, MethodCard, list[Path], DatasetCard, str], pd.DataFrame]


def run(description: str, measure: Measure) -> None:
    """Read the arguments, choose the photos, and write what `measure(method, card, files, dataset, device)` gives."""
    names = (*job.METHOD, "dataset", "--index", "--raw", "--count", "--fitted", "--mirrored")
    args = job.parser(description, *names, "--threads", "--out").parse_args()
    if job.absent([args.index], args.out):
        return
    torch.set_num_threads(args.threads)
    device = job.device(args.device)
    card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
    method = create(card, args.checkpoint, args.mirror, args.trust, fitted=args.fitted)
    try:
        method.load(device)
    except NotRun as e:
        leave_reason(args.out, f"{card.title}: not run: {e}")
        job.record(args.out, card, dataset, args.index, complete=False, mirrored=args.mirrored)
        return
    files = photos.choose(args.index, args.raw, dataset, args.count)
    write_csv(measure(method, card, files, dataset, device), args.out)
    job.record(args.out, card, dataset, args.index, complete=True, mirrored=args.mirrored, photos=len(files))
