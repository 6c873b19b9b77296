"""Cards of methods: one source, digests of what scores depend on, and what a method was trained on."""

from __future__ import annotations

import pytest

from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.method import MethodCard
from tests.support.cards import BASELINES, baseline, dataset, method_card


def test_two_sources_are_refused():
    with pytest.raises(ValueError, match="exactly one source"):
        method_card(pyiqa="piqe", variant="y")


def test_what_scores_depend_on_is_in_their_digest():
    """A citation is not; the metric is, and a nested key."""
    card = method_card(pyiqa="piqe")
    assert method_card(pyiqa="piqe", citation="d", license="l").score_digest() == card.score_digest()
    assert method_card(pyiqa="niqe").score_digest() != card.score_digest()
    assert method_card(pyiqa="piqe", input={"batch": 2}).score_digest() != card.score_digest()


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"module": None, "pyiqa": "niqe"}, "features_of belong to a module"),
        ({"higher_better": False}, "higher is better"),
        ({"fit": True}, "no fit"),
    ],
)
def test_a_method_with_a_model_per_split_has_nothing_else(keys, problem):
    learner = {"family": "supervised", "module": "probe.py:RidgeProbe", "features_of": "clipiqa"}
    assert method_card(**learner).features_of == "clipiqa"
    with pytest.raises(ValueError, match=problem):
        method_card(**learner | keys)


def test_only_a_control_may_read_labels(tmp_path):
    (tmp_path / "x.yaml").write_text((BASELINES / "noisy-oracle.yaml").read_text().replace("control", "supervised"))
    with pytest.raises(CardError, match="only a control may read the labels"):
        read_card(MethodCard, tmp_path / "x.yaml")


def test_which_methods_have_seen_a_dataset():
    koniq10k = dataset("koniq10k")
    assert baseline("musiq").learns_from(koniq10k) and baseline("precomputed-qalign").learns_from(koniq10k)
    assert not baseline("musiq-spaq").learns_from(koniq10k) and not baseline("qualiclip-pyiqa").learns_from(koniq10k)
    assert baseline("probe-untrained").learns_from(koniq10k), "it is trained on the train part of each split"
    assert baseline("noisy-oracle").reads_labels


def test_where_the_scores_come_from():
    """Flags by which rules and tables choose methods."""
    flags = {
        name: (card.sees_images, card.scores_alone, card.timed)
        for name in ("piqe", "probe-untrained", "precomputed-qualiclip", "sfd-iqa")
        for card in [baseline(name)]
    }
    assert flags == {
        "piqe": (True, True, True),
        "probe-untrained": (True, False, False),
        "precomputed-qualiclip": (False, False, False),
        "sfd-iqa": (True, True, False),
    }


def test_the_files_that_scores_need_from_the_mirror():
    card = baseline("precomputed-qualiclip")
    item = card.scores.files["clive"]
    assert card.wanted_files("clive") == [f"{card.scores.store}/{f}" for f in (item.scores, item.names) if f]
    assert card.wanted_files("mini_ladder") == [] and baseline("niqe").wanted_files(None) == baseline("niqe").weights


def test_a_yardstick_competes_with_none_and_a_metric_with_reference_needs_one():
    families = ("opinion-unaware", "supervised", "full-reference", "control", "ablation")
    assert [method_card(family=f).yardstick for f in families] == [False, False, True, True, False]
    metric = method_card(family="full-reference")
    assert metric.applies_to(dataset("kadid10k")) and metric.applies_to(dataset("tid2013"))
    assert not metric.applies_to(dataset("agiqa3k")) and method_card().applies_to(dataset("agiqa3k"))
