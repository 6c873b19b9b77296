"""Against pyiqa: its published values on its own calibration images, and itself image by image."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.data import fetch, index
from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.methods.load import create
from qualiclip.bench.score import run
from qualiclip.images import open_rgb
from qualiclip.tensors import to_tensor
from tests.support.commands import ROOT

pytestmark = pytest.mark.realdata

# Values at the precision that they are published with. Those of the table's rows `brisque` and `ilniqe` came
# from other programs (MATLAB's); beside them pyiqa publishes what it gives itself, and that is what must agree.
TOLERANCE = {"niqe": 0.01, "piqe": 0.005, "brisque": 0.02, "ilniqe": 0.1}
IMAGES = ["I03", "I04", "I06", "I08", "I19"]
SHORT = {"ilniqe": 1}  # images of a method that takes 15 s for each


def own(summary: pd.DataFrame, metric: str, images: list[str]) -> list[float]:
    row = f"{metric}(ours)" if f"{metric}(ours)" in summary.index else metric
    return [float(v) for v in summary.loc[row, [f"{i}.bmp" for i in images]]]


@pytest.mark.parametrize("metric", TOLERANCE)
def test_calibration_images_have_pyiqas_published_values(metric, mirror):
    summary = pd.read_csv(mirror / "samples/pyiqa_calib__calibration_summary.csv").set_index("Method")
    method = create(read_card(MethodCard, ROOT / f"baselines/{metric}.yaml"), mirror=mirror)
    method.load("cpu")
    names = IMAGES[: SHORT.get(metric, len(IMAGES))]
    files = [mirror / f"samples/pyiqa_calib__dist_{i}.bmp" for i in names]
    images = [to_tensor(open_rgb(f))[None].float() / 255 for f in files]
    scores = [method.score(Batch(x, [f.name], [f])).item() for x, f in zip(images, files, strict=True)]
    assert scores == pytest.approx(own(summary, metric, names), abs=TOLERANCE[metric])


@pytest.fixture(scope="module")
def agiqa(mirror, tmp_path_factory) -> tuple[DatasetCard, Path, pd.DataFrame]:
    """AGIQA-3K from the mirror, and the index of every 300th image."""
    raw = tmp_path_factory.mktemp("raw")
    card = read_card(DatasetCard, ROOT / "datasets/agiqa3k.yaml")
    fetch.fetch(card, raw, mirror)
    return card, raw, index.build(card, raw / card.name).iloc[::300].reset_index(drop=True)


@pytest.mark.parametrize("metric", ["niqe", "brisque", "piqe"])
def test_the_scoring_job_gives_what_pyiqa_gives_image_by_image(metric, agiqa, mirror):
    import pyiqa

    dataset, raw, rows = agiqa
    card = read_card(MethodCard, ROOT / f"baselines/{metric}.yaml")
    out = run.run(create(card, mirror=mirror), card, dataset, rows, raw, "cpu", workers=2)
    model = pyiqa.create_metric(metric, device=torch.device("cpu"))
    theirs = [model(str(raw / dataset.name / name)).item() for name in rows["image"]]
    assert (out["error"] == "").all() and out["score"].tolist() == theirs
