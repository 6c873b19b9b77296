"""Optimizer steps that count: AdamW on float64 master weights where float32 would round small steps away.

A float32 weight above 2^-5 has neighbours 3.7e-9 apart: a step of 1e-9 leaves it where it is. A master copy in float64
adds up such steps, and the model holds its rounded value.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn

TYPICAL = 0.1  # an Adam update is between lr, in the first steps, and about a tenth of it later
ENOUGH = 0.99  # share of weights that must be able to move


@torch.no_grad()
def movable_share(parameters: list[nn.Parameter], step: float) -> float:
    """Share of the weights that adding or subtracting `step` changes in their own precision."""
    moved = sum(int(((p + step != p) | (p - step != p)).sum()) for p in parameters)
    return moved / sum(p.numel() for p in parameters)


class AdamW:
    """torch's AdamW, on float64 master weights where the learning rate asks for them."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, weight_decay: float):
        self.parameters = parameters
        self.movable = movable_share(parameters, lr)
        precise = lr > 0 and movable_share(parameters, TYPICAL * lr) < ENOUGH
        self.master: list[Tensor] | None = [p.detach().double() for p in parameters] if precise else None
        self.optimizer = torch.optim.AdamW(self.master or parameters, lr=lr, weight_decay=weight_decay)
        if precise:
            print(
                f"lr {lr:g}: in float32 a step of this size would change {self.movable:.0%} of the weights; "
                "they are kept in float64",
                file=sys.stderr,
            )

    def set_lr(self, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    @torch.no_grad()
    def step(self) -> None:
        """Update the weights by their gradients, and clear these."""
        for master, p in zip(self.master or [], self.parameters, strict=False):
            master.grad = None if p.grad is None else p.grad.double()
        self.optimizer.step()
        for master, p in zip(self.master or [], self.parameters, strict=False):
            p.copy_(master)
        for p in self.parameters:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "master": self.master}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError for a state with another number of weights."""
        if (state["master"] is None) != (self.master is None):
            raise ValueError("its optimizer has other weights")
        self.optimizer.load_state_dict(state["optimizer"])
        for master, saved in zip(self.master or [], state["master"] or [], strict=True):
            master.data.copy_(saved)
