"""The scoring job: every row, in order, the same every time; a killed job goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.formats import read_scores, refusal
from qualiclip.bench.score import run
from tests.support.cards import dataset_card
from tests.support.commands import ROOT
from tests.support.small_set import CODE, Absent, cards, expected, score


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch", [1, 4])
def test_every_row_in_index_order_whoever_scores(small, workers, batch):
    out = score(small, workers=workers, batch=batch)
    assert out["image"].tolist() == [f"{i}.png" for i in range(11)] and (out["error"] == "").all()
    assert out["score"].to_numpy() == pytest.approx(expected(small), abs=1e-6)
    assert out.equals(score(small, workers=workers, batch=batch))


def test_a_method_that_cannot_run_says_so_in_every_row(small):
    out = score(small, Absent())
    assert len(out) == 11 and set(out["reason"]) == {"x.pth could not be fetched"}
    assert out["score"].isna().all() and refusal(out) == "x.pth could not be fetched"


def test_labels_come_so_that_higher_is_better(small):
    index = pd.read_csv(small / "index.csv")
    assert run.oriented_labels(index, dataset_card())["mos"].tolist() == index["mos"].tolist()
    turned = run.oriented_labels(index, dataset_card(labels={"higher_better": False}))
    assert turned["mos"].tolist() == (-index["mos"]).tolist()
    with pytest.raises(CardError, match="this control needs labels, and the set has none"):
        run.oriented_labels(index, dataset_card().model_copy(update={"labels": None}))


def test_a_terminated_job_goes_on_from_its_partial_results(small):
    command = [sys.executable, "-m", "qualiclip.bench.score.run", "mean.yaml", "small.yaml", "--index", "index.csv"]
    command += ["--raw", "raw", "--out", "scores/small.csv", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SLOW": "1.5"}
    job = subprocess.Popen(command, cwd=small, env=environment, stderr=subprocess.PIPE, text=True)
    for character in iter(lambda: job.stderr.read(1), ""):
        if character == "/":  # the progress bar has come; one batch is done within the next two seconds
            break
    time.sleep(2.2)
    job.send_signal(signal.SIGTERM)
    assert job.wait(30) != 0 and not (small / "scores/small.csv").exists()
    kept = list((small / "scores").glob(".small.*.partial/*.csv"))
    assert kept, job.stderr.read()
    done = subprocess.run(
        command, cwd=small, env={**environment, "SLOW": "0"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    out = read_scores(small / "scores/small.csv", pd.read_csv(small / "index.csv"))
    assert out["score"].to_numpy() == pytest.approx(expected(small), abs=1e-6)
    assert '"resumed": 0' not in (small / "scores/small.csv.provenance.json").read_text()
    assert not list((small / "scores").glob(".small.*"))


def test_partial_results_of_other_inputs_are_not_taken_up(small):
    card, dataset = cards(small)

    def key(card, module="qualiclip.bench.score.run"):
        return run.partial_key(card, dataset, [small / "index.csv"], module)

    before = key(card)
    assert key(card) == before
    assert key(card, "qualiclip.bench.score.features") != before
    assert key(card.model_copy(update={"input": card.input.model_copy(update={"batch": 2})})) != before
    (small / "mean.py").write_text(CODE + "# edited\n")
    edited = key(card)
    assert edited != before
    (small / "index.csv").write_text((small / "index.csv").read_text().replace("4.0", "3.0"))
    assert key(card) != edited
