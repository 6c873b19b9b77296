"""Figures from made-up files: every kind draws, and says what it must."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.figure import FigureCard
from qualiclip.bench.figures import draw
from qualiclip.bench.measure import degradations, efficiency, explain
from qualiclip.bench.methods.contract import Batch
from qualiclip.bench.workspace import Workspace
from qualiclip.degrade import GROUPS, N_LEVELS, TYPES


def card(kind: str, **said) -> FigureCard:
    return FigureCard(name="f", path=Path("f.yaml"), title="t", caption="c", kind=kind, **said)


@pytest.fixture
def space(tmp_path, at_root) -> Workspace:
    return Workspace.load({"scale": "mini", "results": str(tmp_path), "data": str(tmp_path / "raw")})


def scored(space: Workspace, name: str, scores: np.ndarray | str) -> None:
    """A score file on the gMAD set; a string is why the method was not run."""
    d = space.all_datasets[space.config.gmad]
    images = [f"{i}.png" for i in range(40)]
    path = space.scores(space.all_methods[name], d)
    path.parent.mkdir(parents=True)
    error = f"not run: {scores}" if isinstance(scores, str) else ""
    score = np.nan if error else scores
    pd.DataFrame({"image": images, "score": score, "error": error}).to_csv(path, index=False)
    space.index(d).parent.mkdir(exist_ok=True)
    pd.DataFrame({"image": images, "mos": np.arange(40.0)}).to_csv(space.index(d), index=False)


def test_gmad_shows_pairs_scores_labels_and_what_the_labels_are(space, tmp_path):
    scored(space, "qualiclip", np.arange(40.0))
    scored(space, "piqe", np.random.default_rng(0).random(40))  # lower is better
    one = card("gmad", methods=["qualiclip", "piqe"])
    (tmp_path / "raw/mini_ladder").mkdir(parents=True)
    for i in range(0, 40, 2):  # half of the images are at hand
        Image.new("RGB", (64, 48), "red").save(tmp_path / f"raw/mini_ladder/{i}.png")
    fig, found = draw.gmad_pairs(one, space)
    assert len(found) == 2 * space.config.gmad_levels
    attacked = found[found["attacker"] == "piqe"]
    assert (attacked["better_piqe"] < attacked["worse_piqe"]).all(), "the better image has the lower PIQE"
    draw.write(fig, found, tmp_path / "g.png", draw.footnote(one, space))
    assert all((tmp_path / f"g{suffix}").stat().st_size > 500 for suffix in (".png", ".pdf", ".csv"))
    assert "no human opinions" in draw.footnote(one, space)


def test_gmad_without_scores_says_why(space):
    scored(space, "qualiclip", np.arange(40.0))
    scored(space, "piqe", "its weights are gone")
    _, found = draw.gmad_pairs(card("gmad", methods=["qualiclip", "piqe"]), space)
    assert "its weights are gone" in found["not_run"][0]


@pytest.fixture
def with_photos(space, photos) -> Workspace:
    """A workspace with measured degradations."""
    table, shown = degradations.measure(photos[:2, :, :96, :96])
    space.degraded.parent.mkdir(parents=True)
    np.savez(space.degraded, **shown)
    table.to_csv(space.degraded.with_suffix(".csv"), index=False)
    return space


def test_sheets(with_photos):
    measured = pd.read_csv(with_photos.degraded.with_suffix(".csv"))
    assert len(measured) == len(TYPES) * N_LEVELS and (measured["mae"] > 0).all()
    kinds = 0
    for group in GROUPS:
        fig, rows = draw.KINDS["degradation_sheet"](card("degradation_sheet", group=group), with_photos)
        kinds += rows["type"].nunique()
        assert len(fig.axes) == 6 * rows["type"].nunique()
        draw.plt.close(fig)
    assert kinds == len(TYPES)
    fig, rows = draw.KINDS["degradation_levels"](card("degradation_levels"), with_photos)
    assert set(rows["group"]) == set(GROUPS)
    with pytest.raises(CardError, match="group: none of blur"):
        draw.KINDS["degradation_sheet"](card("degradation_sheet", group="fog"), with_photos)


def test_there_is_a_card_for_every_group(space):
    assert {f.group for f in space.all_figures.values() if f.group} == set(GROUPS)


def test_views_and_their_figures(space, photos):
    from qualiclip.model import QualiCLIP

    model = QualiCLIP.create("rn-mini", None)
    mixed, kinds = explain.half_degraded(photos[:2, :, :128, :128])
    assert torch.equal(mixed[0, ..., :64], photos[0, :, :128, :64]) and not torch.equal(
        mixed[0], photos[0, :, :128, :128]
    )
    cams, scores = explain.grad_cam(model, mixed)
    assert cams.shape == (len(kinds), 4, 4) and cams.min() >= 0 and cams.max() <= 1
    assert torch.allclose(scores, model.score(mixed))
    features = explain.embed(model, photos[:2, :, :64, :64])
    assert features["features"].shape == (2 * (1 + len(TYPES) * N_LEVELS), 64)
    for name in ("qualiclip", "clipiqa"):
        path = space.views(space.all_methods[name])
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = (mixed.permute(0, 2, 3, 1) * 255).byte().numpy()
        np.savez(path, images=shown, cams=cams.numpy(), scores=scores.numpy(), kinds=kinds, **features)
    _, rows = draw.KINDS["gradcam"](card("gradcam", methods=["clipiqa", "qualiclip"]), space)
    assert len(rows) == 2 * len(kinds)
    _, points = draw.KINDS["embeddings"](card("embeddings", methods=["qualiclip"]), space)
    assert len(points) == len(features["features"])


def test_training_curve(space):
    def recorded(curve):
        path = space.checkpoint("qualiclip") / "train.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"curve": curve, "rank_consistency": 0.7}))

    chosen = card("training", methods=["qualiclip"])
    terms = {"consistency": 0.1, "positive": 0.2, "negative": 0.3}
    recorded([{"step": k + 1, "loss": 0.6, **terms} for k in range(50)])
    fig, rows = draw.KINDS["training"](chosen, space)
    clear = [line for line in fig.axes[0].lines if line.get_label().startswith("$L")]
    assert [line.get_ydata()[-1] for line in clear] == pytest.approx(list(terms.values()))
    assert len(rows) == 50 and space.figure_inputs(chosen) == [space.checkpoint("qualiclip") / "train.json"]
    recorded([])
    with pytest.raises(CardError, match="no step"):
        draw.KINDS["training"](chosen, space)
    with pytest.raises(CardError, match="piqe is not trained here"):
        space.figure_inputs(card("training", methods=["piqe"]))


def test_overview(space):
    _, rows = draw.KINDS["overview"](card("overview"), space)
    assert rows.set_index("setting").loc["levels", "value"] == 5


def test_a_figure_of_a_method_that_is_not_here_is_left_out_and_named(at_root):
    space = Workspace.load({"scale": "mini", "methods": ["piqe", "clipiqa"]})
    assert "score_vs_intensity" not in {f.name for f in space.figures()}
    assert any("qualiclip" in why for why in space.figures_left_out().values())


def test_a_card_with_too_few_methods_or_a_wrong_group_is_refused():
    with pytest.raises(ValueError, match="two methods"):
        card("gmad", methods=["piqe"])
    with pytest.raises(ValueError, match="needs a group"):
        card("degradation_sheet")


def test_what_a_method_costs():
    class Conv:
        def load(self, device: str) -> None:
            self.model = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)

        def score(self, batch: Batch) -> torch.Tensor:
            return self.model(batch.images).mean((1, 2, 3))

    method = Conv()
    method.load("cpu")
    with torch.inference_mode():
        found = efficiency.cost(method, (32, 16), "cpu")
    assert found["parameters"] == 3 * 4 * 9 and found["flops"] == 2 * 3 * 4 * 9 * 32 * 16
    assert found["images_per_second"] == pytest.approx(1 / found["seconds"]) and found["memory"] > 2**20
