"""gMAD: pairs, both roles, the global ranking."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from qualiclip.bench.formats import write_csv
from qualiclip.bench.methods.contract import NotRun
from qualiclip.bench.metrics import gmad
from tests.support.cards import dataset_card, method_card
from tests.support.results import with_results


def test_pairs_by_hand():
    defender = np.array([0, 0.01, 0.02, 5, 5.01, 5.02, 9, 9, 9, 9])
    attacker = np.array([3, 1, 2, 7, 7, 7, 0, 8, 4, 2.0])
    rows = gmad.pairs(defender, attacker, n_levels=2, width=0.3)
    assert rows[["better", "worse"]].to_numpy().tolist() == [[0, 1], [7, 9]]
    assert rows["gap"].tolist() == pytest.approx([2 / attacker.std(), 6 / attacker.std()])


def test_both_roles_are_played():
    rng = np.random.default_rng(0)
    rows = gmad.competition({"a": rng.random(50), "b": rng.random(50)}, 2)
    assert rows[["defender", "attacker", "level"]].to_numpy().tolist() == [
        ["a", "b", 0], ["a", "b", 1], ["b", "a", 0], ["b", "a", 1]
    ]  # fmt: skip


def test_a_constant_attacker_tells_nothing_apart():
    rows = gmad.pairs(np.arange(20.0), np.ones(20), 2)
    assert (rows["gap"] == 0).all()


def test_one_image_is_no_competition():
    with pytest.raises(ValueError, match="at least two images"):
        gmad.pairs(np.ones(1), np.ones(1), 2)


@pytest.fixture
def ladder() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Methods of growing noise, and the labels."""
    rng = np.random.default_rng(0)
    labels = rng.random(2000)
    return {f"noise {s}": labels + rng.normal(0, s, 2000) for s in (0.02, 0.2, 1.0)}, labels


def test_the_better_method_attacks_and_resists_best(ladder):
    scores, labels = ladder
    table = gmad.ranking(gmad.competition(scores, 5), labels)
    assert table["method"].tolist() == list(scores)
    assert table["resistance"].is_monotonic_decreasing
    assert table[["aggressiveness", "resistance"]].mean().tolist() == pytest.approx([0, 0], abs=1e-4)


def test_without_labels_the_ranking_comes_from_scores_alone(ladder):
    table = gmad.ranking(gmad.competition(ladder[0], 5), None)
    assert set(table["method"]) == set(ladder[0]) and np.isfinite(table["aggressiveness"]).all()


def test_a_hundred_thousand_images_take_seconds():
    rng = np.random.default_rng(0)
    scores = {f"m{i}": rng.random(100_000) for i in range(7)}
    start = time.perf_counter()
    gmad.ranking(gmad.competition(scores, 6), rng.random(100_000))
    assert time.perf_counter() - start < 30


# From score files.


def test_pairs_come_with_names_scores_and_labels(tmp_path):
    rng = np.random.default_rng(0)
    mos = np.arange(40.0)
    lower = method_card("b", higher_better=False)
    dataset = dataset_card(40)
    workspace = with_results(tmp_path, [(method_card("a"), mos), (lower, rng.random(40))], mos, dataset)
    rows = gmad.compete(workspace.paths, [method_card("a"), lower], dataset, 2)
    assert len(rows) == 4 and set(rows["defender"]) == {"a", "b"}
    attacked = rows[rows["attacker"] == "b"]
    assert (attacked["better_b"] < attacked["worse_b"]).all(), "the better image has the lower score"
    assert (rows["better_image"] == [f"{int(v)}.png" for v in rows["better_label"]]).all()
    assert (rows["worse_a"] == rows["worse_label"]).all()


def test_images_that_one_of_them_has_not_scored_are_left_out(tmp_path):
    mos = np.arange(40.0)
    a, b, dataset = method_card("a"), method_card("b"), dataset_card(40)
    workspace = with_results(tmp_path, [(a, mos), (b, mos)], mos, dataset)
    file = workspace.paths.scores("b", "myset")
    table = pd.read_csv(file, keep_default_na=False)
    table.loc[[0, 39], "error"] = "too dark"
    write_csv(table.assign(score=np.where(table["error"] == "", table["score"], np.nan)), file)
    rows = gmad.compete(workspace.paths, [a, b], dataset, 2)
    assert not {"0.png", "39.png"} & {*rows["better_image"], *rows["worse_image"]}
    write_csv(table.assign(score=np.nan, error="too dark"), file)
    with pytest.raises(NotRun, match="B on My set: too dark"):
        gmad.compete(workspace.paths, [a, b], dataset, 2)


def test_a_rival_that_was_not_run_is_named_with_the_reason(tmp_path):
    mos = np.arange(40.0)
    a, b, dataset = method_card("a"), method_card("b"), dataset_card(40)
    workspace = with_results(tmp_path, [(a, mos), (b, "its weights are gone")], mos, dataset)
    with pytest.raises(NotRun, match="B on My set: not run: its weights are gone"):
        gmad.compete(workspace.paths, [a, b], dataset, 2)
