"""The three margin losses of QualiCLIP (arXiv 2403.11176, Fig. 3; the formulas are this suite's reading).

These take similarities s[b, v, l, p, c] of image pair b, crop v (2, or 1 with a single crop), level l
(mild to severe), prompt pair p, and c = 0 for the positive, 1 for the negative prompt.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def consistency(s: Tensor, margin: float) -> Tensor:
    """L_cons: the two crops of a pair, equally degraded, are equally similar to every prompt.

    (B, 2, L, P, 2) -> scalar: mean of max(0, |s(x1_l) - s(x2_l)| - margin); 0 for a single crop.
    """
    return (s[:, :1] - s[:, 1:]).abs().sub(margin).clamp(min=0).mean() if s.shape[1] > 1 else s.sum() * 0


def _ranking(milder_minus_severer: Tensor, margin: float) -> Tensor:
    return (margin - milder_minus_severer).clamp(min=0).mean()


def _pairs(s: Tensor) -> tuple[Tensor, Tensor]:
    i, j = torch.triu_indices(s.shape[2], s.shape[2], offset=1, device=s.device)
    return s[:, :, i], s[:, :, j]


def positive_ranking(s: Tensor, margin: float) -> Tensor:
    """L_pos: a milder level is closer to the positive prompts, by the margin, for all i < j."""
    milder, severer = _pairs(s[..., 0])
    return _ranking(milder - severer, margin)


def negative_ranking(s: Tensor, margin: float) -> Tensor:
    """L_neg: a severer level is closer to the negative prompts, by the margin, for all i < j."""
    milder, severer = _pairs(s[..., 1])
    return _ranking(severer - milder, margin)


def plcc(score: Tensor, mos: Tensor) -> Tensor:
    """(..., B) scores and labels -> (...) (1 - r) / 2, r Pearson's correlation of a batch: 0 is perfect, 1 inverse.

    The PLCC loss of QualiCLIP+ (the authors' configurations in pyiqa). Constant scores or labels give 1/2.
    """
    x, y = (F.normalize(v - v.mean(-1, keepdim=True), dim=-1, eps=1e-6) for v in (score, mos))
    return (1 - (x * y).sum(-1)) / 2
