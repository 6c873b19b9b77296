"""Seconds of jobs, against sums by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir

import pytest

from qualiclip.bench.cards.scale import load_config
from qualiclip.bench.plan.costs import Cost, Speeds, Training, training_kind
from qualiclip.bench.plan.estimate import Estimate, images_of, steps_of
from qualiclip.bench.plan.jobs import Job
from qualiclip.bench.workspace import Workspace
from tests.support.commands import ROOT


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Iterator[Workspace]:
    with chdir(ROOT):
        yield Workspace(load_config({"scale": "mini", "results": str(tmp_path_factory.mktemp("results"))}))


def speeds(workspace: Workspace, **costs: Cost) -> Speeds:
    kind = training_kind(workspace.config.variant("qualiclip"))
    base = {"start": Cost(0.5), "decode": Cost(megapixel=1.0), "metrics": Cost(2.0)}
    return Speeds("a machine", "cpu", 2.0, base | costs, {kind: Training(3.0, 0.01, 0.002, 5.0, 64)})


def test_a_method_that_was_measured_here_costs_its_images_and_their_pixels(workspace: Workspace):
    estimate = Estimate(workspace, speeds(workspace, laplacian=Cost(1.0, 0.1, 10.0)), {})
    # start, load, 100 images of 0.049 megapixels: decoding 1 and scoring 10 seconds a megapixel
    expected = 0.5 + 1.0 + 100 * (0.1 + 0.049 * (1.0 + 10.0))
    assert estimate.seconds(Job("score", "laplacian", "mini_authentic")) == pytest.approx(expected)


def test_a_method_of_the_record_costs_so_many_times_as_much_as_there(workspace: Workspace):
    estimate = Estimate(workspace, speeds(workspace), {"piqe": Cost(1.0, 0.1, 0.0)})
    expected = 0.5 + 2 * (1.0 + 100 * 0.1) + 100 * 0.049
    assert estimate.seconds(Job("score", "piqe", "mini_authentic")) == pytest.approx(expected)


def test_what_nobody_has_measured_is_unknown(workspace: Workspace):
    estimate = Estimate(workspace, speeds(workspace), {})
    assert estimate.seconds(Job("score", "piqe", "mini_authentic")) is None
    assert estimate.seconds(Job("a_rule_of_a_user")) is None


def test_a_training_costs_its_steps_its_statistics_and_its_checks(workspace: Workspace):
    estimate = Estimate(workspace, speeds(workspace), {})
    config = workspace.config.variant("qualiclip")
    assert (config.steps, config.images, config.norm_batches, config.checkpoint_every) == (500, 80, 20, 500)
    # two checks of eight batches, which are made once: before and after
    expected = 0.5 + 3.0 + 500 * 80 * 0.01 + (20 + 3 * 8) * 80 * 0.002
    assert estimate.seconds(Job("train", variant="qualiclip")) == pytest.approx(expected)


def test_the_steps_of_an_epoch_are_those_of_the_photos_that_are_not_held_out(at_root):
    paper = Workspace(load_config({"scale": "paper"}))
    # 95% of 140,000 photos, 16 pairs a step, ten epochs
    assert steps_of(paper.config.variant("qualiclip"), images_of(paper.training_set, paper).count) == 83125


def test_an_index_knows_more_than_a_card(workspace: Workspace, tmp_path):
    workspace = Workspace(workspace.config.model_copy(update={"results": tmp_path}))
    card = workspace.all_datasets["mini_authentic"]
    assert images_of(card, workspace).count == 100
    index = workspace.paths.index(card.name)
    index.parent.mkdir(parents=True)
    index.write_text("image,width,height\na.png,1000,500\nb.png,1000,1500\n")
    images = images_of(card, workspace)
    assert (images.count, images.megapixels, images.known) == (2, 1.0, True)
