"""Figures from made-up files: every kind draws, and notes what it must."""

from __future__ import annotations

import importlib
import json
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from qualiclip.bench.cards.base import CardError
from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.figures import draw, kinds
from qualiclip.bench.figures.style import COLUMN, HEIGHT, POINTS, TEXT, Drawing
from qualiclip.bench.formats import refused_scores, write_csv
from qualiclip.bench.measure import degradations
from qualiclip.bench.workspace import Workspace
from qualiclip.degrade import GROUPS, N_LEVELS, TYPES
from tests.support.cards import figure_card


@pytest.fixture
def workspace(tmp_path, at_root) -> Workspace:
    """Scale mini with results and raw datasets of its own."""
    return Workspace(load_config({"results": str(tmp_path), "data": str(tmp_path / "raw")}))


@pytest.fixture(autouse=True)
def _closed():
    """No figure stays open."""
    yield
    plt.close("all")


def words(figure: Figure) -> list[Text]:
    """All words of a figure that are drawn."""
    return [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]


def collisions(figure: Figure) -> list[tuple[str, str]]:
    """Words that lie on other words."""
    renderer = figure.canvas.get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in words(figure)]
    overlap = [(a, b, Bbox.intersection(x, y)) for (a, x), (b, y) in combinations(boxes, 2)]
    return [(a, b) for a, b, common in overlap if common and min(common.width, common.height) > 2]


def drawn(kind: str, workspace: Workspace, **keys) -> Drawing:
    """The figure of a card, in both widths: no taller than a page, all words in 8 pt, none on another, none outside."""
    drawing = draw.draw(figure_card(kind, **keys), workspace)
    for width in (COLUMN, TEXT):
        figure = drawing.paint(width)
        figure.draw_without_rendering()
        assert figure.get_figwidth() <= width + 1e-6 and figure.get_figheight() <= HEIGHT + 1e-6
        assert {t.get_fontsize() for t in words(figure)} <= {POINTS}
        assert not collisions(figure)
        used = figure.get_tightbbox()  # inches
        assert used.x0 > -0.03 and used.y0 > -0.03
        assert used.x1 < figure.get_figwidth() + 0.03 and used.y1 < figure.get_figheight() + 0.03
    drawing.figure = figure
    return drawing


def write_scores(workspace: Workspace, name: str, scores: np.ndarray | str) -> None:
    """A score file on the gMAD set; a string is why the method was not run."""
    paths, dataset = workspace.paths, workspace.gmad_set.name
    index = pd.DataFrame({"image": [f"{i}.png" for i in range(40)], "mos": np.arange(40.0)})
    write_csv(index, paths.index(dataset))
    made = pd.DataFrame({"image": index["image"], "score": np.nan if isinstance(scores, str) else scores, "error": ""})
    write_csv(refused_scores(index, scores) if isinstance(scores, str) else made, paths.scores(name, dataset))


def test_gmad_shows_pairs_scores_labels_and_what_the_labels_are(workspace, tmp_path):
    write_scores(workspace, "qualiclip", np.arange(40.0))
    write_scores(workspace, "piqe", np.random.default_rng(0).random(40))  # lower is better
    (tmp_path / "raw/mini_ladder").mkdir(parents=True)
    for i in range(0, 40, 2):  # half of the images are at hand
        Image.new("RGB", (64, 48), "red").save(tmp_path / f"raw/mini_ladder/{i}.png")
    card = figure_card("gmad", methods=["qualiclip", "piqe"])
    drawing = draw.draw(card, workspace)
    assert len(drawing.data) == 2 * workspace.config.gmad_levels
    attacked = drawing.data[drawing.data["attacker"] == "piqe"]
    assert (attacked["better_piqe"] < attacked["worse_piqe"]).all(), "the better image has the lower PIQE"
    draw.write(drawing, card, tmp_path / "g.png")
    assert all((tmp_path / f"g{end}").stat().st_size > 300 for end in (".png", ".pdf", "_column.pdf", ".tex", ".csv"))
    notes = " ".join(drawing.notes)
    assert "no human opinions" in notes and workspace.config.banner in notes
    paths = workspace.paths
    files = [paths.index("mini_ladder"), *(paths.scores(m, "mini_ladder") for m in ("qualiclip", "piqe"))]
    assert kinds.inputs(card, workspace) == files


def test_the_same_data_gives_the_same_files(workspace, tmp_path):
    for name in ("one", "two"):
        card = figure_card("overview")
        draw.write(draw.draw(card, workspace), card, tmp_path / f"{name}.png")
    for end in (".png", ".pdf", "_column.pdf", ".csv"):
        assert (tmp_path / f"one{end}").read_bytes() == (tmp_path / f"two{end}").read_bytes()
    for end in (".pdf", "_column.pdf"):
        fonts = (tmp_path / f"one{end}").read_bytes()
        assert b"/Type3" not in fonts and b"/FontFile2" in fonts, "TrueType fonts, which every press takes"
    text = (tmp_path / "one.tex").read_text()
    assert r"\label{fig:one}" in text and "how good a method is" in text, "the banner is in the caption"


def test_gmad_without_scores_says_why(workspace):
    write_scores(workspace, "qualiclip", np.arange(40.0))
    write_scores(workspace, "piqe", "its weights are gone")
    drawing = drawn("gmad", workspace, methods=["qualiclip", "piqe"])
    assert "its weights are gone" in drawing.data["not_drawn"][0]
    assert "its weights are gone" in drawing.figure.texts[0].get_text().replace("\n", " ")


@pytest.fixture
def measured(workspace, photos) -> Workspace:
    """A workspace with measured degradations."""
    table, images = degradations.measure(photos[:2, :, :96, :96])
    file = workspace.paths.degradations(workspace.figure_set.name)
    file.parent.mkdir(parents=True)
    np.savez(file, **images)
    table.to_csv(file.with_suffix(".csv"), index=False)
    return workspace


def test_sheets(measured):
    n_types = 0
    for group in GROUPS:
        data = draw.draw(figure_card("degradation_sheet", group=group), measured).data
        n_types += data["type"].nunique()
        assert len(data) == N_LEVELS * data["type"].nunique()
    assert n_types == len(TYPES)
    drawing = drawn("degradation_sheet", measured, group="sharpness_contrast")
    assert len(drawing.figure.axes) == 6 * (1 + 3)
    assert set(drawn("degradation_levels", measured).data["group"]) == set(GROUPS)
    with pytest.raises(CardError, match="group: none of blur"):
        drawn("degradation_sheet", measured, group="fog")
    file = measured.paths.degradations("mini_heldout")
    assert kinds.inputs(figure_card("degradation_levels"), measured) == [file, file.with_suffix(".csv")]


def test_there_is_a_card_for_every_group(workspace):
    assert {f.group for f in workspace.all_figures.values() if f.group} == set(GROUPS)


def test_grad_cam_and_embeddings(workspace):
    rng, types = np.random.default_rng(0), ["jpeg", "pixelate", "white_noise"]
    points = [("none", "none", 0), *((t.name, t.group, level) for t in TYPES.values() for level in (1, 3, 5))]
    names = dict(zip(("type", "group", "level"), map(np.array, zip(*points, strict=True)), strict=True))
    for name in ("qualiclip", "clipiqa"):
        file = workspace.paths.explain(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {"images": rng.integers(0, 256, (3, 32, 32, 3), np.uint8), "cams": rng.random((3, 4, 4))}
        arrays |= {"scores": rng.random(3), "types": types, "features": rng.random((len(points), 8)), **names}
        arrays["cams"][1] = 0
        np.savez(file, **arrays)
    drawing = drawn("gradcam", workspace, methods=["clipiqa", "qualiclip"])
    assert len(drawing.data) == 2 * len(types) and set(drawing.data["type"]) == set(types)
    assert sum(t.get_text() == "no region\nraises it" for t in words(drawing.figure)) == 2
    means = drawing.data[["mean_cam_left", "mean_cam_right"]]
    assert (means[drawing.data["type"] == "pixelate"] == 0).all(axis=None)
    drawing = drawn("embeddings", workspace, methods=["qualiclip"])
    assert len(drawing.data) == len(points) and drawing.data[["x", "y"]].notna().all(axis=None)
    assert kinds.inputs(figure_card("gradcam", methods=["clipiqa"]), workspace) == [workspace.paths.explain("clipiqa")]


def test_score_against_intensity(workspace):
    rows = [(f"{i}.png", t.group, t.name, v / 5, -v + i) for i in (0, 1) for t in TYPES.values() for v in range(6)]
    file = workspace.paths.intensity("qualiclip")
    write_csv(pd.DataFrame(rows, columns=["image", "group", "type", "intensity", "score"]), file)
    drawing = drawn("score_vs_intensity", workspace, methods=["qualiclip"])
    assert len(drawing.data) == 6 * len(GROUPS) and len(drawing.figure.axes[0].lines) == len(GROUPS)
    assert drawing.data.query("intensity == 1")["mean"].tolist() == pytest.approx([-4.5] * len(GROUPS))
    # two photos whose scores differ by 1: a standard deviation of sqrt(1/2), over sqrt(2) photos
    assert (
        drawing.data["sem"].tolist() == pytest.approx([0.5] * len(drawing.data)) and "n = 2 photos" in drawing.notes[-1]
    )
    assert kinds.inputs(figure_card("score_vs_intensity", methods=["qualiclip"]), workspace) == [file]


def test_score_against_size(workspace):
    """Two methods whose scores fall by 1 at half the size; one turns the order, and cannot score the smallest."""
    whole = np.array([1.0, 2.0, 3.0])
    scores = {"qualiclip": {1: whole, 0.5: whole - 1, 0.25: whole - 1}}
    scores["niqe-fit"] = {1: whole, 0.5: 5 - whole, 0.25: np.full(3, np.nan)}
    for name, by_factor in scores.items():
        rows = [(f"{i}.png", f, v) for f, values in by_factor.items() for i, v in enumerate(values)]
        write_csv(pd.DataFrame(rows, columns=["image", "factor", "score"]), workspace.paths.sizes(name))
    drawing = drawn("score_vs_size", workspace, methods=list(scores))
    data = drawing.data.set_index(["method", "factor"])
    # the standard deviation of the whole photos is 1
    assert data.loc["qualiclip", "mean"].tolist() == [-1, -1, 0] and data.loc["qualiclip", "srcc"].tolist() == [1, 1, 1]
    assert data.loc[("niqe-fit", 0.5), ["mean", "srcc", "n"]].tolist() == [-1, -1, 3], "lower is better: it rose by 1"
    assert data.loc[("niqe-fit", 0.25), "n"] == 0 and "3 scores are missing, up to 0.25" in drawing.notes[-1]


def test_training_curve(workspace):
    file = workspace.paths.train_record("qualiclip")

    def record(curve):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"curve": curve, "rank_consistency": 0.7}))

    terms = {"consistency": 0.1, "positive": 0.2, "negative": 0.3}
    record([{"step": k + 1, "loss": 0.6, **terms} for k in range(50)])
    drawing = drawn("training", workspace, methods=["qualiclip"])
    assert "70.0% of the pairs of levels" in drawing.notes[-1]
    clear = [line for line in drawing.figure.axes[0].lines if line.get_label().startswith("$L")]
    assert [line.get_ydata()[-1] for line in clear] == pytest.approx(list(terms.values()))
    assert len(drawing.data) == 50
    assert kinds.inputs(figure_card("training", methods=["qualiclip"]), workspace) == [file]
    record([])
    with pytest.raises(CardError, match=r"qualiclip was not trained \(0 steps\) and has no loss curve"):
        drawn("training", workspace, methods=["qualiclip"])
    with pytest.raises(CardError, match="piqe is not trained here"):
        kinds.inputs(figure_card("training", methods=["piqe"]), workspace)


def test_overview(workspace):
    assert drawn("overview", workspace).data.set_index("setting").loc["levels", "value"] == 5


# Kinds.


def test_every_kind_is_a_module_with_draw():
    for name, kind in kinds.KINDS.items():
        card = figure_card(name, methods=["a", "b"], group="blur" if kind.group else None)
        assert kinds.module(card) == f"qualiclip.bench.figures.{name}"
        assert callable(importlib.import_module(kinds.module(card)).draw)


def test_an_unknown_kind_names_the_kinds():
    with pytest.raises(CardError, match=r"f\.yaml: kind: no kind of figure is called 'pie'; kinds: summary, "):
        kinds.module(figure_card("pie"))


def test_a_card_with_too_few_methods_or_a_wrong_group_is_refused():
    with pytest.raises(CardError, match="name at least two methods"):
        kinds.module(figure_card("gmad", methods=["piqe"]))
    with pytest.raises(CardError, match="name at least one method"):
        kinds.module(figure_card("training"))
    with pytest.raises(CardError, match="needs a degradation group"):
        kinds.module(figure_card("degradation_sheet"))
    with pytest.raises(CardError, match="group: has no meaning for overview"):
        kinds.module(figure_card("overview", group="blur"))


def test_words_and_settings_of_a_figure_are_in_its_digest(workspace):
    card = figure_card("overview")
    before = kinds.words_digest(card, workspace)
    assert kinds.words_digest(card.model_copy(update={"title": "another"}), workspace) != before
    other = Workspace(load_config({"variants": {"qualiclip": {"crop": 64}, "untrained": {"steps": 0}}}))
    assert kinds.words_digest(card, other) != before, "the overview shows the training"
    pair = figure_card("gmad", methods=["qualiclip", "piqe"])
    levels = Workspace(load_config({"gmad_levels": 3}))
    assert kinds.words_digest(pair, levels) != kinds.words_digest(pair, workspace)
    assert kinds.words_digest(card, levels) == before, "the overview has no pairs"
