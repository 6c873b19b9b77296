"""Shards of a score file merge into what one job would have written."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
import torch

from qualiclip.bench import provenance
from qualiclip.bench.formats import read_scores, refusal, write_csv
from qualiclip.bench.score import shards
from qualiclip.io import DamagedFile
from tests.support.small_set import Absent, Mean, score


class Noisy(Mean):
    """The mean grey value and random numbers, which must not depend on the shard."""

    def score(self, batch):
        return super().score(batch) + torch.rand(len(batch.names))


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_shards_merge_into_the_same_score_file(small, batch):
    (small / "raw/small/7.png").unlink()
    index = pd.read_csv(small / "index.csv")
    write_csv(score(small, Noisy(), batch=batch), small / "whole.csv")
    files = [small / f"{k}-of-3.csv" for k in (1, 2, 3)]
    for k, file in enumerate(files, 1):
        write_csv(score(small, Noisy(), batch=batch, shard=(k, 3)), file, **shards.FORMAT)
    write_csv(shards.merge(files, index), small / "merged.csv")
    assert (small / "merged.csv").read_bytes() == (small / "whole.csv").read_bytes()
    with pytest.raises(DamagedFile, match="not those of the index"):
        shards.merge(files[1:], index)


def test_a_shard_that_alone_was_not_run_is_tried_again(small):
    files = [small / f"{k}-of-2.csv" for k in (1, 2)]
    for k, (file, method) in enumerate(zip(files, (Mean(), Absent()), strict=True), 1):
        write_csv(score(small, method, shard=(k, 2)), file, **shards.FORMAT)
    with pytest.raises(DamagedFile, match=r"x\.pth could not be fetched, though other shards ran"):
        shards.merge(files, pd.read_csv(small / "index.csv"))
    assert files[0].exists() and not files[1].exists()


def test_shards_of_which_none_was_run_merge_into_a_refusal(small):
    files = [small / f"{k}-of-2.csv" for k in (1, 2)]
    for k, file in enumerate(files, 1):
        write_csv(score(small, Absent(), shard=(k, 2)), file, **shards.FORMAT)
    index = pd.read_csv(small / "index.csv")
    write_csv(shards.merge(files, index), small / "merged.csv")
    assert refusal(read_scores(small / "merged.csv", index)) == "x.pth could not be fetched"


def test_the_job_records_what_the_shards_took_together(small, monkeypatch):
    files = [small / f"{k}-of-2.csv" for k in (1, 2)]
    for k, file in enumerate(files, 1):
        write_csv(score(small, shard=(k, 2)), file, **shards.FORMAT)
        facts = {"device": "cpu", "threads": k, "seconds": 2.0 * k, "resumed": k, "images_per_second": 3.0}
        provenance.record(file, **facts)
    arguments = ["shards", small / "mean.yaml", small / "small.yaml", "--index", small / "index.csv"]
    arguments += ["--shards", *files, "--mirrored", "a/b.pth", "--out", small / "out.csv"]
    monkeypatch.setattr(sys, "argv", [str(a) for a in arguments])
    shards.main()
    facts = provenance.read(small / "out.csv")
    expected = {"shards": 2, "seconds": 6.0, "threads": 2, "resumed": 3, "images_per_second": 3.0, "failed": 0}
    assert expected.items() <= facts.items() and facts["complete"] and facts["mirrored"] == ["a/b.pth"]
    assert read_scores(small / "out.csv", pd.read_csv(small / "index.csv"))["score"].notna().all()


def test_the_number_of_a_shard():
    assert shards.number("2/3") == (2, 3)
    for text in ("0/3", "4/3"):
        with pytest.raises(ValueError, match="K from 1 to N"):
            shards.number(text)
