"""Limits of correlations: closed forms, influences of images, and images that share a reference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, pearsonr, spearmanr

from qualiclip.bench.metrics import limits
from qualiclip.bench.metrics.significance import compare
from qualiclip.bench.metrics.simulate import coverage
from tests.support.published import opinions, published


def shared(seed: int = 0, groups: int = 40, each: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties, labels and clusters of images that share a reference."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(groups), each)
    photo = rng.normal(size=(2, groups))[:, clusters]
    score = photo[0] + rng.normal(size=len(clusters))
    return score.round(1), 0.7 * photo[0] + 0.5 * score + photo[1] + rng.normal(size=len(clusters)), clusters


def test_limits_by_hand():
    low, high = limits.closed_form("plcc", 0.6, 103)
    assert np.arctanh([low, high]) == pytest.approx(np.arctanh(0.6) + norm.ppf(0.975) * np.array([-1, 1]) / 10)
    wider = limits.closed_form("srcc", 0.6, 103)
    assert wider[0] < low and wider[1] > high
    assert limits.closed_form("srcc", 1.0, 50)[1] == pytest.approx(1)


@pytest.mark.parametrize("ranks", [True, False])
def test_an_influence_is_what_leaving_the_image_out_changes(ranks):
    score, mos, _ = shared()
    function = spearmanr if ranks else pearsonr
    n, found = len(score), limits.influence(score, mos, ranks)
    whole = np.arctanh(function(score, mos).statistic)
    left_out = [np.arctanh(function(np.delete(score, i), np.delete(mos, i)).statistic) for i in range(60)]
    changes = (n - 1) * (whole - np.array(left_out))
    assert found[:60] == pytest.approx(changes, abs=0.15) and np.corrcoef(found[:60], changes)[0, 1] > 0.999
    assert found.mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("ranks", [True, False])
def test_clustered_limits_are_those_of_a_bootstrap_of_clusters(ranks):
    score, mos, clusters = shared()
    found = limits.clustered(score, mos, clusters, ranks)
    drawn = limits.bootstrapped(score, mos, 400, ranks, clusters)
    assert found == pytest.approx(drawn, abs=0.025)
    plain = limits.closed_form("srcc" if ranks else "plcc", np.tanh(np.mean(np.arctanh(found))), len(score))
    assert found[1] - found[0] > 1.2 * (plain[1] - plain[0]), "copies of a photo are no independent opinions"


def test_images_alone_have_the_limits_of_the_closed_form():
    rng = np.random.default_rng(0)
    score, mos = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 2000).T
    closed = limits.closed_form("srcc", spearmanr(score, mos).statistic, 2000)
    assert limits.clustered(score, mos, np.arange(2000), ranks=True) == pytest.approx(closed, abs=0.005)
    assert limits.bootstrapped(score, mos, 300, ranks=True) == pytest.approx(closed, abs=0.015)
    assert limits.bootstrapped(score, mos, 30, True) == limits.bootstrapped(score, mos, 30, True), "the same draws"


def test_one_cluster_says_nothing():
    score, mos, clusters = shared()
    assert limits.clustered(score, mos, np.zeros_like(clusters), ranks=True) == (-1, 1)


def test_clusters_are_references_or_else_groups():
    index = pd.DataFrame({"image": list("abcd"), "ref": ["x", "x", "y", "y"], "group": ["1", "2", "1", "2"]})
    assert limits.clusters_of(index).tolist() == [0, 0, 1, 1]
    assert limits.clusters_of(index.drop(columns="ref")).tolist() == [0, 1, 0, 1]
    assert limits.clusters_of(index[["image"]]) is None


def test_coverage_by_simulation():
    """2000 draws of each case, as quoted in docs/protocol.md: `python -m qualiclip.bench.metrics.simulate limits`."""
    share = dict(coverage(np.random.default_rng(0), groups=30, each=10, draws=60))
    assert share["srcc, clustered limits"] > 0.87 and share["plcc, clustered limits"] > 0.87
    assert share["srcc, plain limits"] < 0.85 and share["plcc, plain limits"] < 0.85


@pytest.mark.realdata
def test_copies_of_81_photos_do_not_tell_lpips_from_dists(mirror):
    """KADID-10k: by 10,125 independent images p would be 1e-4, by 81 photos it is 0.15."""
    index = opinions(mirror, "KADID10k").rename(columns={"ref_name": "ref"})
    mos, clusters = index["mos"].to_numpy(float), limits.clusters_of(index)
    pair = published(mirror, "kadid10k", ("lpips", "dists"))
    for scores in pair:
        plain = limits.closed_form("srcc", spearmanr(scores, mos).statistic, len(mos))
        low, high = limits.clustered(scores, mos, clusters, ranks=True)
        assert high - low > 1.15 * (plain[1] - plain[0])
    assert compare(pair, mos, True).p(0, 1) < 0.001 < 0.05 < compare(pair, mos, True, clusters).p(0, 1)
