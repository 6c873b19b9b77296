"""How far results on another device differ from those on the CPU; used by `python -m qualiclip.timing.gpu`."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.overrides import TorchFunctionMode

from qualiclip.config import TrainConfig
from qualiclip.crops import Batch, generator
from qualiclip.degrade import GENERATORS, TYPES, Draw, degrade
from qualiclip.inference import fast, folded
from qualiclip.model import QualiCLIP
from qualiclip.train import loss_terms

SAME = 0.01  # of 1/255: differences below it are rounding


class DrawnOnCPU(TorchFunctionMode):
    """Random fields are drawn on the CPU and copied: from one seed, devices draw different ones."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        device = kwargs.pop("device", None) if func in (torch.rand, torch.randn) else None
        out = func(*args, **kwargs)
        return out if device is None else out.to(device)


def of_degradations(images: Tensor, device: str) -> dict[str, Any]:
    """Differences of every type at all levels, in units of 1/255, from the same draws. images: (B, 3, H, W)."""
    n, make = len(images), torch.Generator
    draw, levels = Draw.sample(n, make().manual_seed(0)), torch.arange(n) % 5 + 1.0
    facts: dict[str, Any] = {}
    for operations in GENERATORS:
        rows = {}
        for t in TYPES:
            with DrawnOnCPU(), patch.object(torch, "Generator", lambda _="cpu": make()):
                here, there = (degrade(images.to(d), t, levels, draw, operations).cpu() for d in ("cpu", device))
            rows[t] = (here - there).abs() * 255
        others = {t: x for t, x in rows.items() if x.max() >= SAME}
        facts[operations] = {
            f"types_within_{SAME}_of_255": len(rows) - len(others),
            "others_max_mean_of_255_and_share_over_1": {
                t: [round(float(v), 6) for v in (x.max(), x.mean(), (x > 1).double().mean())] for t, x in others.items()
            },
        }
    return facts


def of_scores(model: QualiCLIP, images: Tensor, device: str) -> dict[str, Any]:
    """Differences of scores to those of the CPU in float32. images: (B, 3, H, W) in [0, 1]."""
    here = torch.cat([folded(model.cpu()).score(part) for part in images.split(8)])
    facts: dict[str, Any] = {"images": len(images), "range_of_scores": round(float(here.max() - here.min()), 5)}
    usual = torch.backends.cudnn.allow_tf32
    for name, tf32 in (("float32", usual), ("float32, no TF32", False), ("bfloat16", usual)):
        other = fast(model, torch.bfloat16 if name == "bfloat16" else torch.float32, device)
        torch.backends.cudnn.allow_tf32 = tf32
        there = torch.cat([other.score(part.to(device)).cpu() for part in images.split(8)])
        torch.backends.cudnn.allow_tf32 = usual
        difference, rank = float((here - there).abs().max()), float(spearmanr(here, there).statistic)
        facts[name] = {"max_difference": float(f"{difference:.2e}"), "srcc": round(rank, 5)}
    return facts


def of_losses(config: TrainConfig, pixels: Tensor, device: str) -> dict[str, float]:
    """The loss of the first pairs of a step in train mode, by device and precision. pixels: as `Batch` has them."""
    images = Batch(pixels, config, generator(0)).on("cpu")[:4]
    losses = {}
    for where, precision in (("cpu", "float32"), (device, "float32"), (device, "bfloat16")):
        c = config.model_copy(update={"precision": precision})
        model = QualiCLIP.create(c.encoder, None).to(where).train()
        with torch.no_grad():
            losses[f"{where}, {precision}"] = round(float(loss_terms(model, images.to(where), c)["loss"]), 6)
    return losses
