"""The losses, each compared with values that were derived by hand for small tensors."""

from __future__ import annotations

import pytest
import torch

from qualiclip import losses


def similarities(positive: list[list[float]], negative: list[list[float]]) -> torch.Tensor:
    """Crops by rows, levels by columns -> (1, V, L, 1, 2)."""
    return torch.tensor([positive, negative]).permute(1, 2, 0)[None, :, :, None].clone().requires_grad_()


def test_consistency_by_hand():
    s = similarities([[0.5, 0.3], [0.4, 0.3]], [[0.1, 0.2], [0.1, 0.25]])
    # differences .1, 0, 0, .05 less the margin .02, cut at zero: (.08 + .03) / 4
    assert float(losses.consistency(s, 0.02)) == pytest.approx(0.11 / 4)


def test_consistency_of_a_single_crop_is_zero_and_has_a_gradient():
    s = similarities([[0.5, 0.3]], [[0.1, 0.2]])
    losses.consistency(s, 0.0).backward()
    assert s.grad.abs().sum() == 0


def test_positive_ranking_by_hand():
    s = similarities([[0.5, 0.45, 0.6]], [[9.0, 9.0, 9.0]])
    # pairs (1,2): .1 - .05 = .05; (1,3): .1 + .1 = .2; (2,3): .1 + .15 = .25; mean over the three
    assert float(losses.positive_ranking(s, 0.1)) == pytest.approx(0.5 / 3)


def test_negative_ranking_by_hand():
    s = similarities([[9.0, 9.0, 9.0]], [[0.1, 0.3, 0.25]])
    # (1,2): .1 - .2 -> 0; (1,3): .1 - .15 -> 0; (2,3): .1 + .05 = .15
    assert float(losses.negative_ranking(s, 0.1)) == pytest.approx(0.15 / 3)


def test_ranking_across_photos_by_hand():
    a, b = similarities([[0.5, 0.3]], [[0.1, 0.3]]), similarities([[0.9, 0.6]], [[0.2, 0.5]])
    s = torch.cat([a, b])
    # within each photo the order holds; across, A's mild .5 is below B's severe .6: (.1 + .1) of four pairs, twice
    assert float(losses.positive_ranking(s, 0.1, across=2)) == pytest.approx(2 * 0.2 / 4)
    # B's mild .2 against A's severe .3 has just the margin, the other three have more
    assert float(losses.negative_ranking(s, 0.1, across=2)) == pytest.approx(0, abs=1e-6)
    assert float(losses.positive_ranking(s, 0.1)) == 0


def test_gradients_point_to_the_right_order():
    s = similarities([[0.5, 0.5]], [[0.5, 0.5]])
    losses.positive_ranking(s, 0.1).backward()
    assert s.grad[0, 0, :, 0, 0].tolist() == [-1, 1], "raise the milder level's similarity to the positive prompt"
    assert s.grad[..., 1].abs().sum() == 0
    s.grad = None
    losses.negative_ranking(s, 0.1).backward()
    assert s.grad[0, 0, :, 0, 1].tolist() == [1, -1], "raise the severer level's similarity to the negative prompt"


def test_no_loss_where_the_margin_is_met():
    s = similarities([[0.9, 0.5], [0.9, 0.5]], [[0.1, 0.5], [0.1, 0.5]])
    total = losses.consistency(s, 0) + losses.positive_ranking(s, 0.4) + losses.negative_ranking(s, 0.4)
    assert float(total) == pytest.approx(0, abs=1e-6)


def test_gradients_are_those_of_finite_differences():
    s = torch.rand(2, 2, 4, 3, 2, dtype=torch.float64, requires_grad=True)

    def total(t):
        ranking = losses.positive_ranking(t, 0.2, across=0.7) + losses.negative_ranking(t, 0.2)
        return losses.consistency(t, 0.1) + ranking

    assert torch.autograd.gradcheck(total, (s,))


def test_plcc_by_hand():
    score, mos = torch.tensor([[1.0, 2, 4], [1, 2, 4]], requires_grad=True), torch.tensor([[2.0, 4, 8], [0, 1, 0]])
    assert losses.plcc(score, mos).tolist() == pytest.approx([0, (1 + 3 / 252**0.5) / 2], abs=1e-6)
    x = torch.rand(2, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(losses.plcc, (x, torch.rand(2, 8, dtype=torch.float64)))
    constant = losses.plcc(torch.full((8,), 0.3, requires_grad=True), torch.rand(8))
    assert constant.item() == pytest.approx(0.5)
