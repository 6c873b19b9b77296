"""Batch-norm statistics: estimated anew with the final weights, and how far they moved in training.

In train mode a batch norm normalises by its batch, and its running statistics follow the last twenty or so batches
(momentum 0.1). A model scores with these, so that a score would depend on which batches came last.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn


def layers(model: nn.Module) -> dict[str, _BatchNorm]:
    """All batch norms of a model, by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}


def estimate(encoder: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of an encoder to their means over batches (B, 3, H, W), normalised."""
    update_bn(batches, encoder)


def statistics(encoder: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Copies of running mean and variance (C,) of every batch norm."""
    return {name: (m.running_mean.clone(), m.running_var.clone()) for name, m in layers(encoder).items()}


def shift(before: dict[str, tuple[Tensor, Tensor]], after: dict[str, tuple[Tensor, Tensor]]) -> dict[str, float]:
    """How far the statistics moved, as means over all channels.

    mean: |m1 - m0| in standard deviations before; log_std: |log(s1 / s0)|.
    """
    if not before:
        return {}
    means, stds = [], []
    for name, (m0, v0) in before.items():
        m1, v1 = after[name]
        means.append((m1 - m0).abs() / v0.clamp_min(1e-12).sqrt())
        stds.append((v1.clamp_min(1e-12) / v0.clamp_min(1e-12)).log().abs() / 2)
    return {"mean": round(float(torch.cat(means).mean()), 6), "log_std": round(float(torch.cat(stds).mean()), 6)}
