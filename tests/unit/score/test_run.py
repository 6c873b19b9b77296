"""The runner: every row, in order, the same every time; failures stay where they happen; killed jobs go on."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from qualiclip.bench import provenance
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.data import index
from qualiclip.bench.formats import read_index, read_scores
from qualiclip.bench.methods.contract import Batch, NotRun
from qualiclip.bench.score import precomputed, run, shards
from qualiclip.bench.score.partial import Parts, Row
from qualiclip.io import DamagedFile
from tests.conftest import ROOT

METHOD = """
title: mean
family: control
higher_better: true
input: {batch: 4}
citation: c
license: l
module: mean.py:Mean
"""
CODE = """
import os, time
class Mean:
    def load(self, device):
        pass
    def score(self, batch):
        time.sleep(float(os.environ.get("SLOW", 0)))
        return batch.images.mean((1, 2, 3))
"""
DATASET = """
title: small
family: authentic
files: [{filename: small.zip, manual: by hand, extract: true}]
labels: {format: csv, file: labels.csv, range: [0, 5]}
images: {count: 11}
citation: c
license: l
"""


class Mean:
    """The mean grey value; what `broken` says goes wrong."""

    def __init__(self, broken=None):
        self.broken, self.sizes = broken or (lambda batch: None), []

    def load(self, device: str) -> None:
        pass

    def score(self, batch: Batch) -> torch.Tensor:
        self.sizes.append(len(batch.names))
        self.broken(batch)
        return batch.images.double().mean((1, 2, 3))


@pytest.fixture
def small(tmp_path) -> Path:
    """A method, a dataset of 11 images of two sizes, and its index."""
    (tmp_path / "mean.yaml").write_text(METHOD)
    (tmp_path / "mean.py").write_text(CODE)
    (tmp_path / "small.yaml").write_text(DATASET)
    (tmp_path / "raw/small").mkdir(parents=True)
    rng, rows = np.random.default_rng(0), []
    for i in range(11):
        w, h = (40, 32) if i % 3 else (32, 40)
        Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)).save(tmp_path / f"raw/small/{i}.png")
        rows.append({"image": f"{i}.png", "width": w, "height": h, "mos": float(i % 5)})
    pd.DataFrame(rows).to_csv(tmp_path / "index.csv", index=False)
    return tmp_path


def score(
    small: Path, method=None, workers: int = 0, parts: Parts | None = None, shard=(1, 1), **changes
) -> pd.DataFrame:
    card = read_card(MethodCard, small / "mean.yaml")
    if changes:
        card = card.model_copy(update={"input": card.input.model_copy(update=changes)})
    dataset, index = read_card(DatasetCard, small / "small.yaml"), pd.read_csv(small / "index.csv")
    return run.run(method or Mean(), card, dataset, index, small / "raw", "cpu", workers, parts, shard)


def expected(small: Path) -> list[float]:
    names = pd.read_csv(small / "index.csv")["image"]
    return [np.array(Image.open(small / "raw/small" / n)).mean() / 255 for n in names]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch", [1, 4])
def test_every_row_in_index_order_whoever_scores(small, workers, batch):
    out = score(small, workers=workers, batch=batch)
    assert out["image"].tolist() == [f"{i}.png" for i in range(11)] and (out["error"] == "").all()
    assert out["score"].to_numpy() == pytest.approx(expected(small), abs=1e-6)
    assert out.equals(score(small, workers=workers, batch=batch))


def test_batches_are_of_one_size_and_keep_the_order(small):
    index = pd.read_csv(small / "index.csv")
    found = run.batches(index, 3)
    assert sorted(r for rows in found for r in rows) == list(range(11)) and max(map(len, found)) == 3
    assert all(index.loc[rows, ["width", "height"]].drop_duplicates().shape[0] == 1 for rows in found)
    assert run.batches(index, 3, done=set(found[0])) == found[1:]
    assert run.batches(index, 3, done={found[0][0]}) == found


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_batch_too_large_is_halved_and_stays_halved(small, error):
    def broken(batch):
        if len(batch.names) > 2:
            raise error

    method = Mean(broken)
    out = score(small, method, batch=8)
    assert (out["error"] == "").all() and out["score"].to_numpy() == pytest.approx(expected(small), abs=1e-6)
    assert method.sizes.index(2) <= 2 and max(method.sizes[2:]) <= 4


def test_one_bad_image_is_one_error_row(small):
    def broken(batch):
        if "5.png" in batch.names:
            raise ValueError("too\ndark")

    (small / "raw/small/7.png").write_bytes((small / "raw/small/7.png").read_bytes()[:200])
    (small / "raw/small/8.png").unlink()
    out = score(small, Mean(broken)).set_index("image")
    assert out.loc["5.png", "error"] == "ValueError: too dark"
    assert out.loc["7.png", "error"].startswith("cannot be read:")
    assert "No such file" in out.loc["8.png", "error"]
    assert out["score"].isna().sum() == (out["error"] != "").sum() == 3


def test_a_score_that_is_no_number_is_an_error(small):
    class Nan(Mean):
        def score(self, batch):
            return super().score(batch) / torch.tensor([0.0 if n == "2.png" else 1.0 for n in batch.names])

    out = score(small, Nan())
    assert out["error"].tolist().count("the score is inf") == 1 and out["score"].isna().sum() == 1


def test_an_image_of_another_size_than_indexed_is_scored_alone(small):
    Image.new("RGB", (50, 50), "white").save(small / "raw/small/1.png")
    out = score(small, batch=8)
    assert (out["error"] == "").all() and out["score"][1] == 1


def test_a_method_that_cannot_run_says_so_in_every_row(small):
    class Absent(Mean):
        def load(self, device):
            raise NotRun("x.pth could not be fetched")

    assert set(score(small, Absent())["error"]) == {"not run: x.pth could not be fetched"}


def test_labels_alone_make_an_index_for_published_scores(small, monkeypatch):
    pd.read_csv(small / "index.csv")[["image", "mos"]].to_csv(small / "raw/small/labels.csv", index=False)
    arguments = ["index", str(small / "small.yaml"), "--raw", str(small / "raw"), "--out", str(small / "labels.csv")]
    monkeypatch.setattr(sys, "argv", [*arguments, "--labels-only"])
    index.main()
    table = pd.read_csv(small / "labels.csv")
    assert len(table) == 11 and "width" not in table and "split_09" in table


def test_a_set_without_images_is_not_run(small, monkeypatch):
    pd.read_csv(small / "index.csv")[["image", "mos"]].to_csv(small / "labels.csv", index=False)
    method, out = ROOT / "baselines/qualiclip.yaml", small / "scores.csv"  # its checkpoint is not there either
    arguments = ["published", method, small / "small.yaml", "--index", small / "labels.csv", "--out", out]
    monkeypatch.setattr(sys, "argv", [*map(str, arguments)])
    precomputed.main()
    table = read_scores(out, read_index(small / "labels.csv"))
    assert set(table["error"]) == {"not run: the images of small are not here, only its labels"}
    assert table["score"].isna().all() and not provenance.read(out)["complete"]
    arguments[4] = small / "index.csv"  # with images: a rule of one's own that forgets its file
    monkeypatch.setattr(sys, "argv", [*map(str, arguments)])
    with pytest.raises(SystemExit, match=r"qualiclip.yaml: the card names no scores; give a file with --from"):
        precomputed.main()


def test_random_numbers_come_from_the_cards_seed(small):
    class Noise(Mean):
        def score(self, batch):
            return torch.rand(len(batch.names))

    one, two = score(small, Noise(), seed=3), score(small, Noise(), seed=3, workers=2)
    assert one.equals(two) and not one.equals(score(small, Noise(), seed=4))


# parts


def test_parts_are_taken_up_but_failures_are_tried_again(small, tmp_path):
    parts = Parts(tmp_path / "parts", seconds=0)
    score(small, parts=parts)
    assert len(list((tmp_path / "parts").glob("*.csv"))) > 2
    again = Parts(tmp_path / "parts")
    assert again.done() == set(range(11))
    Parts(tmp_path / "parts", seconds=0).add([Row(3, None, "bad")])
    method = Mean()
    out = score(small, method, parts=Parts(tmp_path / "parts"))
    assert method.sizes == [] and out.equals(score(small))


def test_scores_survive_the_parts_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).random(50) / 3
    parts = Parts(tmp_path / "p", seconds=0)
    parts.add([Row(i, float(v), "") for i, v in enumerate(values)])
    index = pd.DataFrame({"image": [str(i) for i in range(50)]})
    assert Parts(tmp_path / "p").table(index)["score"].tolist() == values.tolist()
    parts.clear()
    assert not (tmp_path / "p").exists()


def test_a_terminated_job_goes_on_from_its_parts(small):
    command = [sys.executable, "-m", "qualiclip.bench.score.run", "mean.yaml", "small.yaml", "--index", "index.csv"]
    command += ["--raw", "raw", "--out", "scores/small.csv", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SLOW": "1.5"}
    job = subprocess.Popen(command, cwd=small, env=environment, stderr=subprocess.PIPE, text=True)
    for line in iter(lambda: job.stderr.read(1), ""):
        if line == "/":  # the progress bar has come; one batch is done within the next two seconds
            break
    time.sleep(2.2)
    job.send_signal(signal.SIGTERM)
    assert job.wait(30) != 0 and not (small / "scores/small.csv").exists()
    kept = list((small / "scores").glob(".small.*.parts/*.csv"))
    assert kept, job.stderr.read()
    done = subprocess.run(
        command, cwd=small, env={**environment, "SLOW": "0"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    out = pd.read_csv(small / "scores/small.csv")
    assert out["score"].to_numpy() == pytest.approx(expected(small), abs=1e-6)
    assert '"resumed": 0' not in (small / "scores/small.csv.provenance.json").read_text()
    assert not list((small / "scores").glob(".small.*"))


def test_parts_of_another_card_are_not_taken_up(small):
    card, dataset = read_card(MethodCard, small / "mean.yaml"), read_card(DatasetCard, small / "small.yaml")
    before = run.key(card, dataset, [small / "index.csv"])
    assert run.key(card, dataset, [small / "index.csv"]) == before
    changed = card.model_copy(update={"input": card.input.model_copy(update={"batch": 2})})
    assert run.key(changed, dataset, [small / "index.csv"]) != before
    (small / "mean.py").write_text(CODE + "# edited\n")
    assert run.key(card, dataset, [small / "index.csv"]) != before


def test_what_a_kill_in_the_middle_of_writing_leaves_is_not_read(small, tmp_path):
    parts = Parts(tmp_path / "parts", seconds=0)
    parts.add([Row(0, 0.5, "")])
    (tmp_path / "parts/.000001-77.abc123.csv").write_text("row,sco")
    assert Parts(tmp_path / "parts").done() == {0}


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_shards_merge_into_the_same_score_file(small, batch):
    class Noise(Mean):
        def score(self, batch):
            return super().score(batch) + torch.rand(len(batch.names))

    (small / "raw/small/7.png").unlink()
    whole = score(small, Noise(), batch=batch)
    whole.to_csv(small / "whole.csv", index=False)
    files = [small / f"{k}-of-3.csv" for k in (1, 2, 3)]
    for k, file in enumerate(files, 1):
        score(small, Noise(), batch=batch, shard=(k, 3)).to_csv(file, **shards.FORM)
    shards.merge(files, pd.read_csv(small / "index.csv")).to_csv(small / "merged.csv", index=False)
    assert (small / "merged.csv").read_bytes() == (small / "whole.csv").read_bytes()
    with pytest.raises(DamagedFile, match="not those of the index"):
        shards.merge(files[1:], pd.read_csv(small / "index.csv"))


def test_a_shard_that_alone_was_not_run_is_tried_again(small):
    class Absent(Mean):
        def load(self, device):
            raise NotRun("x.pth could not be fetched")

    files = [small / f"{k}-of-2.csv" for k in (1, 2)]
    for k, (file, method) in enumerate(zip(files, (Mean(), Absent()), strict=True), 1):
        score(small, method, shard=(k, 2)).to_csv(file, **shards.FORM)
    with pytest.raises(DamagedFile, match=r"x\.pth could not be fetched, though other shards ran"):
        shards.merge(files, pd.read_csv(small / "index.csv"))
    assert files[0].exists() and not files[1].exists()


# published scores

PUBLISHED = """
title: theirs
family: supervised
higher_better: true
citation: c
license: l
scores:
  store: store
  url: http://127.0.0.1:9/nowhere
  files:
    small: {scores: a+b.csv, names: names.csv}
  score: Q
  mos: [truth, mos]
"""


@pytest.fixture
def theirs(small) -> Path:
    """Published scores of the 11 images: in another order and case, below the mirror."""
    (small / "theirs.yaml").write_text(PUBLISHED)
    (small / "mirror/store").mkdir(parents=True)
    names = pd.DataFrame(
        {"name": [f"{i}.PNG" for i in range(10, -1, -1)], "mos": [float(i % 5) for i in range(10, -1, -1)]}
    )
    names.to_csv(small / "mirror/store/names.csv", index=False)
    pd.DataFrame({"Q": names.index * 1.0, "truth": names["mos"] + 1e-6}).to_csv(
        small / "mirror/store/a+b.csv", index=False
    )
    return small


def bring(folder: Path, mirror: Path | None, dataset: str = "small", file: Path | None = None) -> pd.DataFrame:
    card = read_card(MethodCard, folder / "theirs.yaml")
    index = pd.read_csv(folder / "index.csv").drop(columns=["width", "height"])
    return precomputed.build(card, dataset, index, mirror, file)


def test_published_scores_come_by_name_without_the_images(theirs):
    out = bring(theirs, theirs / "mirror")
    assert out["score"].tolist() == [10.0 - i for i in range(11)] and (out["error"] == "").all()


def test_published_scores_that_cannot_be_had_say_where_to_put_them(theirs):
    with pytest.raises(
        precomputed.PublishedError, match=r"^not run: a\+b\.csv could not be fetched .* DIR/store/a\+b\.csv"
    ):
        bring(theirs, None)
    with pytest.raises(precomputed.PublishedError, match=r"^not run: its scores of this dataset are not published"):
        bring(theirs, theirs / "mirror", dataset="another")


def test_published_scores_whose_labels_disagree_are_refused(theirs):
    table = pd.read_csv(theirs / "mirror/store/a+b.csv")
    table.loc[4, "truth"] += 1
    table.to_csv(theirs / "mirror/store/a+b.csv", index=False)
    with pytest.raises(precomputed.PublishedError, match="row 4 has label"):
        bring(theirs, theirs / "mirror")


def test_an_image_without_a_published_score_is_an_error_row(theirs, tmp_path):
    pd.DataFrame({"image": ["x/0.png", "x/3.png"], "score": [1, 2]}).to_csv(tmp_path / "own.csv", index=False)
    index = pd.read_csv(theirs / "index.csv")
    index.assign(image="x/" + index["image"]).to_csv(theirs / "index.csv", index=False)
    out = bring(theirs, None, file=tmp_path / "own.csv")
    assert out["score"][3] == 2 and math.isnan(out["score"][1]) and out["error"][1] == "no score in own.csv"
