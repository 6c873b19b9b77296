"""The three margin losses of QualiCLIP (arXiv 2403.11176, Fig. 3; the formulas are this suite's reading).

These take similarities s[b, v, l, p, c] of image pair b, crop v (2, or 1 with a single crop), level l
(mild to severe), prompt pair p, and c = 0 for the positive, 1 for the negative prompt. In shapes the letters stand
for B pairs, V crops, L levels and P prompt pairs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def consistency(s: Tensor, margin: float) -> Tensor:
    """L_cons: the two crops of a pair, degraded alike, are equally similar to every prompt.

    (B, 2, L, P, 2) -> scalar: mean of max(0, |s(x1_l) - s(x2_l)| - margin); 0 for a single crop.
    """
    return (s[:, :1] - s[:, 1:]).abs().sub(margin).clamp(min=0).mean() if s.shape[1] > 1 else s.sum() * 0


def _ranking(good: Tensor, margin: float, across: float) -> Tensor:
    """Loss that makes good[b, v, l, p] fall by the margin from each level to every severer one.

    Mean of max(0, margin - (good_i - good_j)) over all levels i < j of a crop. `across` is the weight of the same
    mean over all pairs of images in the batch with levels i < j, whatever their photos and degradation types.
    """
    n_levels = good.shape[2]
    i, j = torch.triu_indices(n_levels, n_levels, offset=1, device=good.device)
    loss = (margin - (good[:, :, i] - good[:, :, j])).clamp(min=0).mean()
    if across:
        level = good.movedim(2, 0).flatten(1, 2)  # (L, B V, P)
        loss = loss + across * (margin - (level[i, :, None] - level[j, None, :])).clamp(min=0).mean()
    return loss


def positive_ranking(s: Tensor, margin: float, across: float = 0.0) -> Tensor:
    """L_pos: of two levels, the milder one is more similar to the positive prompts, by at least the margin.

    (B, V, L, P, 2) -> scalar. across: weight of the same loss between different photos and degradation types, which
    is not in the paper.
    """
    return _ranking(s[..., 0], margin, across)


def negative_ranking(s: Tensor, margin: float, across: float = 0.0) -> Tensor:
    """L_neg: of two levels, the severer one is more similar to the negative prompts, by at least the margin.

    (B, V, L, P, 2) -> scalar. across: as in `positive_ranking`.
    """
    return _ranking(-s[..., 1], margin, across)


def plcc(score: Tensor, mos: Tensor) -> Tensor:
    """PLCC loss: (..., B) scores and labels -> (...) (1 - r) / 2 in [0, 1], where r is Pearson's correlation.

    0 is a perfect correlation, 1 an inverse one; constant scores or labels give 1/2. It is a loss of QualiCLIP+
    (the authors' configurations in pyiqa).
    """
    x, y = (F.normalize(v - v.mean(-1, keepdim=True), dim=-1, eps=1e-6) for v in (score, mos))
    return (1 - (x * y).sum(-1)) / 2
