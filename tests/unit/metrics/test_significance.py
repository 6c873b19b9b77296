"""Whether one method is better than another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from qualiclip.bench.metrics import significance
from qualiclip.bench.metrics.simulate import over_parts
from tests.support.published import opinions, published


def test_meng_by_hand():
    """Eq. 1 of Meng, Rosenthal and Rubin (1992), written out step by step."""
    r1, r2, r12, n = 0.63, -0.03, -0.19, 15
    mean_square = (r1**2 + r2**2) / 2
    h = (1 - min(1, (1 - r12) / (2 * (1 - mean_square))) * mean_square) / (1 - mean_square)
    z = (np.arctanh(r1) - np.arctanh(r2)) * np.sqrt((n - 3) / (2 * (1 - r12) * h))
    between = np.array([[1, r12], [r12, 1]])
    tested = significance.Comparison(np.arctanh([r1, r2]), significance.meng(np.array([r1, r2]), between, n), np.inf)
    assert tested.p(0, 1) == pytest.approx(2 * norm.sf(z)) and z == pytest.approx(1.68, abs=0.01)


def test_equal_methods_do_not_differ_and_undefined_ones_are_not_compared():
    rng = np.random.default_rng(0)
    labels = rng.random(100)
    scores = np.stack([labels + rng.normal(0, 0.2, 100)] * 2 + [np.ones(100)])
    for clusters in (None, np.arange(100) // 5):
        tested = significance.compare(scores, labels, True, clusters)
        assert tested.p(0, 1) == 1 and np.isnan(tested.p(0, 2))
    assert np.isnan(significance.compare(scores[:, :3], labels[:3], True).p(0, 1))


def test_an_image_that_one_method_failed_on_is_left_out():
    rng = np.random.default_rng(0)
    labels, scores = rng.random(100), rng.random((2, 100))
    scores[0, 5] = np.nan
    found = significance.compare(scores, labels, False).p(0, 1)
    assert found == significance.compare(np.delete(scores, 5, 1), np.delete(labels, 5), False).p(0, 1)


def test_holm_by_hand():
    adjusted = significance.holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def test_the_corrected_resampled_test_by_hand():
    values = np.array([0.02, 0.01, 0.03, 0.00])
    error = np.sqrt((1 / 4 + 2 / 7) * values.var(ddof=1))
    p, low, high = significance.resampled(values, 2 / 7)
    assert p == pytest.approx(2 * student.sf(0.015 / error, 3))
    assert (low, high) == pytest.approx((0.015 - student.ppf(0.975, 3) * error, 0.015 + student.ppf(0.975, 3) * error))
    assert np.isnan(significance.resampled(values[:1], 0.3)).all()
    assert significance.resampled(np.zeros(10), 0.3)[0] == 1


@pytest.mark.parametrize("ranks", [False, True])
def test_the_size_of_the_test_by_simulation(ranks):
    """Two equally good methods differ in about one of twenty data sets (docs/protocol.md quotes 2000 draws)."""
    rng = np.random.default_rng(0)
    factor = np.linalg.cholesky(np.array([[1, 0.7, 0.7], [0.7, 1, 0.7], [0.7, 0.7, 1]]))
    drawn = [factor @ rng.standard_normal((3, 100)) for _ in range(500)]
    p = [significance.compare(x[:2], x[2], ranks).p(0, 1) for x in drawn]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.08


def test_shared_photos_do_not_make_equal_methods_differ():
    """Scores of two methods lean towards some photos: by images 30% of the draws differ, by photos about 5%."""
    rng = np.random.default_rng(0)
    clusters, called = np.repeat(np.arange(30), 20), np.zeros(2)
    for _ in range(80):
        x = rng.standard_normal((3, 30))[:, clusters] + rng.standard_normal((3, 600))
        scores, labels = x[:2] + x[2], x[2]
        called += [significance.compare(scores, labels, True, c).p(0, 1) < 0.05 for c in (None, clusters)]
    plain, clustered = called / 80
    assert plain > 0.15 and clustered < 0.1


def test_two_probes_over_ten_parts_by_simulation():
    share = dict(over_parts(np.random.default_rng(1), groups=400, each=1, draws=20))
    assert len(share) == 6 and all(0 <= v <= 1 for v in share.values())


def test_ranks_and_how_sure_they_are():
    """A is better than B and C on two sets together; B and C cannot be told apart."""
    z = np.array([1.0, 0.6, 0.58])
    variance = np.full((3, 3), 0.01) - 0.01 * np.eye(3)
    one = significance.Comparison(z, variance, np.inf)
    assert significance.rank_ranges([one, one]) == [(1, 1), (2, 3), (2, 3)]
    few = significance.Comparison(z, 25 * variance, 4)
    assert significance.rank_ranges([few, few]) == [(1, 3)] * 3
    # only what differs on all sets together counts
    against = significance.Comparison(z[::-1], variance, np.inf)
    assert significance.rank_ranges([one, against]) == [(1, 2), (3, 3), (1, 2)]


@pytest.mark.realdata
def test_published_scores_on_clive_are_told_apart_by_all_images(mirror):
    """QualiCLIP beside CLIP-IQA on 1162 images: SRCC 0.755 and 0.695."""
    mos = opinions(mirror, "LIVEChallenge")["mos"].to_numpy(float)
    scores = published(mirror, "LIVEC", ("qualiclip", "clipiqa"))
    assert 1e-6 < significance.compare(scores, mos, ranks=True).p(0, 1) < 1e-5
