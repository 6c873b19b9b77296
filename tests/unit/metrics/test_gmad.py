"""gMAD: pairs, both roles, the global ranking."""

from __future__ import annotations

import time

import numpy as np
import pytest

from qualiclip.bench.metrics import gmad


def test_pairs_by_hand():
    defender = np.array([0, 0.01, 0.02, 5, 5.01, 5.02, 9, 9, 9, 9])
    attacker = np.array([3, 1, 2, 7, 7, 7, 0, 8, 4, 2.0])
    found = gmad.pairs(defender, attacker, n_levels=2, width=0.3)
    assert found[["better", "worse"]].to_numpy().tolist() == [[0, 1], [7, 9]]
    assert found["gap"].tolist() == pytest.approx([2 / attacker.std(), 6 / attacker.std()])


def test_both_roles_are_played():
    rng = np.random.default_rng(0)
    found = gmad.competition({"a": rng.random(50), "b": rng.random(50)}, 2)
    assert found[["defender", "attacker", "level"]].to_numpy().tolist() == [
        ["a", "b", 0], ["a", "b", 1], ["b", "a", 0], ["b", "a", 1]
    ]  # fmt: skip


def test_a_constant_attacker_tells_nothing_apart():
    found = gmad.pairs(np.arange(20.0), np.ones(20), 2)
    assert (found["gap"] == 0).all()


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
    found = gmad.ranking(gmad.competition(scores, 5), labels)
    assert found["method"].tolist() == list(scores)
    assert found["resistance"].is_monotonic_decreasing
    assert found[["aggressiveness", "resistance"]].mean().tolist() == pytest.approx([0, 0], abs=1e-4)


def test_without_labels_the_ranking_comes_from_scores_alone(ladder):
    found = gmad.ranking(gmad.competition(ladder[0], 5), None)
    assert set(found["method"]) == set(ladder[0]) and np.isfinite(found["aggressiveness"]).all()


def test_a_hundred_thousand_images_take_seconds():
    rng = np.random.default_rng(0)
    scores = {f"m{i}": rng.random(100_000) for i in range(7)}
    start = time.perf_counter()
    gmad.ranking(gmad.competition(scores, 6), rng.random(100_000))
    assert time.perf_counter() - start < 30
