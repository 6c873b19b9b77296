"""Training: rank degraded versions of pristine images. No human score is involved.

One step: pick pristine images, cut two overlapping crops of each, degrade both at L increasing levels of one type, and
ask three margin losses for order (arXiv 2403.11176, Fig. 3). Everything random in step k comes from (seed, k), so that
a killed run resumes as if nothing had happened.

`train(TrainConfig(...), files, out, device)` needs a list of image files and nothing else of this repository.
"""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from qualiclip import batch_norm
from qualiclip.config import TRAIN_RECORD, WEIGHTS, TrainConfig
from qualiclip.crops import CropPairs, degraded_batches, held_out, validation_batches
from qualiclip.distributed import RANK, gather, process_group, share_batch_norms, wrap
from qualiclip.io import atomic, write_text
from qualiclip.losses import consistency, negative_ranking, positive_ranking
from qualiclip.model import QualiCLIP
from qualiclip.prompts import PROMPT_PAIRS
from qualiclip.tensors import has_bfloat16
from qualiclip.updates import AdamW

CHECKPOINT = "last.ckpt"
NAN_BATCH = "nan_batch.safetensors"


def loss_terms(model: QualiCLIP, images: Tensor, c: TrainConfig) -> dict[str, Tensor]:
    """(n, V, L, 3, H, W) -> the weighted sum `loss` and its three unweighted terms, over the pairs of all processes.

    Only the encoder computes in bfloat16: the margins are of the size of its rounding.
    """
    device = images.device.type
    reduced = c.precision == "bfloat16" and has_bfloat16(device)
    with torch.autocast(device, torch.bfloat16, enabled=reduced):
        features = model.encode(images.flatten(0, 2))
    s = gather(model.compare(features).unflatten(0, images.shape[:3]))
    terms = {
        "consistency": consistency(s, c.margin_consistency),
        "positive": positive_ranking(s, c.margin_ranking, c.lambda_across),
        "negative": negative_ranking(s, c.margin_ranking, c.lambda_across),
    }
    total = (
        c.lambda_consistency * terms["consistency"]
        + c.lambda_positive * terms["positive"]
        + c.lambda_negative * terms["negative"]
    )
    return {"loss": total, **terms}


def learning_rate(step: int, total: int, c: TrainConfig) -> float:
    """The learning rate of a step, counted from 0: linear warm-up, then constant or a cosine to 0."""
    if step < c.warmup:
        return c.lr * (step + 1) / c.warmup
    if c.schedule == "constant":
        return c.lr
    return c.lr * 0.5 * (1 + math.cos(math.pi * (step - c.warmup) / max(1, total - c.warmup)))


@torch.no_grad()
def rank_consistency(model: QualiCLIP, batches: list[Tensor]) -> float:
    """Share of (milder, severer) pairs of held-out photos that the scores put in order; chance is 0.5."""
    in_order = []
    for images in batches:
        score = model.score(images.flatten(0, 2)).unflatten(0, images.shape[:3])
        i, j = torch.triu_indices(score.shape[2], score.shape[2], offset=1, device=score.device)
        in_order.append((score[:, :, i] > score[:, :, j]).double().mean())
    return float(torch.stack(in_order).mean())


class Losses(nn.Module):
    """`loss_terms` as a module, whose gradients can be averaged over processes."""

    def __init__(self, model: QualiCLIP, config: TrainConfig):
        super().__init__()
        self.model, self.config = model, config

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return loss_terms(self.model, images, self.config)


class Run:
    """The state of one training run: model, optimizer, moving average, loss curve; saved and restored as a whole."""

    def __init__(self, config: TrainConfig, device: str):
        self.config, self.device = config, device
        pairs = config.prompt_pairs or PROMPT_PAIRS
        model = QualiCLIP.create(config.encoder, config.pretrained, pairs, config.logit_scale, config.seed)
        self.model = model.to(device, memory_format=torch.channels_last)  # convolutions take a third less time so
        share_batch_norms(self.model.encoder)
        self.averaged = copy.deepcopy(self.model) if config.ema_decay else self.model
        self.losses = wrap(Losses(self.model, config))
        self.optimizer = AdamW(list(self.model.encoder.parameters()), config.lr, config.weight_decay)
        # where the run began, to state how far it went
        self.initial_weights = [p.detach().clone() for p in self.model.encoder.parameters()]
        self.initial_statistics = batch_norm.statistics(self.model.encoder)
        self.step = 0
        self.curve: list[dict[str, float]] = []
        self.unreadable: list[str] = []

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "config": self.config.model_dump(),
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "curve": self.curve,
            "unreadable": self.unreadable,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.curve, self.unreadable = state["step"], state["curve"], state["unreadable"]

    def train_mode(self, total: int) -> None:
        """Train mode for the next of `total` steps; frozen batch norms stay in evaluation mode."""
        self.model.train()
        freeze = self.config.norm_freeze_step(total)
        if self.config.batch_norm == "frozen" or (freeze is not None and self.step >= freeze):
            for layer in batch_norm.layers(self.model.encoder).values():
                layer.eval()

    def update(self, batches: Iterator[tuple[Tensor, list[str]]], total: int) -> dict[str, float]:
        """One optimizer step over `accumulate` batches of `degraded_batches`. Returns the mean loss terms.

        Raises FloatingPointError when the loss is not finite, with the batch as `args[1]`.
        """
        c = self.config
        self.optimizer.set_lr(learning_rate(self.step, total, c))
        # gradients of all batches behind this update
        sums: dict[str, float] = {}
        for _ in range(c.accumulate):
            images, unreadable = next(batches)
            self.unreadable += [u for u in unreadable if u not in self.unreadable]
            terms = self.losses(images)
            if not torch.isfinite(terms["loss"]):
                problem = f"step {self.step + 1}: the loss is {terms['loss'].item()}; lower lr or add warm-up"
                raise FloatingPointError(problem, images.detach().cpu())
            (terms["loss"] / c.accumulate).backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.item() / c.accumulate
        # update the weights, and their moving average
        self.optimizer.step()
        self.step += 1
        if c.ema_decay:
            self._average(min(c.ema_decay, self.step / (self.step + 10)))
        return sums

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        """Move the average towards the present weights and batch-norm statistics."""
        for kept, now in zip(self.averaged.state_dict().values(), self.model.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(now, 1 - decay)


def save_checkpoint(run: Run, folder: Path) -> None:
    """Write last.ckpt; the one before stays as last.ckpt.previous until the next."""
    path = folder / CHECKPOINT
    with atomic(path) as temporary:
        torch.save(run.state_dict(), temporary)
        if path.exists():
            os.replace(path, path.with_suffix(".ckpt.previous"))


def restore_checkpoint(run: Run, folder: Path) -> None:
    """Resume from the newest complete checkpoint of the same config, if there is one."""
    for name in (CHECKPOINT, f"{CHECKPOINT}.previous"):
        path = folder / name
        if not path.exists():
            continue
        # read without running code from the file
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as e:
            print(f"{path} is damaged and ignored: {e}".splitlines()[0], file=sys.stderr)
            continue
        # restore all or nothing
        fresh = copy.deepcopy(run.state_dict())
        try:
            if state["config"] != fresh["config"]:
                print(f"{path} belongs to another configuration and is ignored", file=sys.stderr)
                continue
            run.load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as e:
            run.load_state_dict(fresh)  # what was restored before the error
            print(f"{path} has an older format and is ignored: {e!r}".splitlines()[0], file=sys.stderr)
            continue
        print(f"resuming from {path}, step {run.step}", file=sys.stderr)
        return


def train(config: TrainConfig, files: list[str], out: Path, device: str, workers: int = 0) -> dict[str, Any]:
    """Train one variant on pristine image files; write weights.safetensors and train.json into `out`.

    device: "cpu" or "cuda". workers: processes that read images; 0 reads in this one.
    Returns the record that train.json holds: model; train, the config; steps; rank_consistency, before and after; how
    far weights and batch_norm statistics moved; contents, with photos that could not be decoded; curve.
    Under torchrun the pairs of a step are shared among the processes, and the first one writes.
    Raises ValueError for an image smaller than the crop, FloatingPointError when the loss is not finite: the batch,
    (n, V, L, 3, H, W) in [0, 1], is then in out/nan_batch.safetensors.
    """
    out.mkdir(parents=True, exist_ok=True)
    with process_group(device):
        return _train(config, files, out, device, workers)


def _train(config: TrainConfig, files: list[str], out: Path, device: str, workers: int) -> dict[str, Any]:
    """`train`, in one of several connected processes."""
    # contents for training and for validation, and the run as an earlier, killed process left it
    training, validation = held_out(files, config)
    crops = CropPairs(training, config, shared=True)
    total = config.total_steps(len(training))
    run = Run(config, device)
    held = validation_batches(validation, config, device)
    before = rank_consistency(run.model.eval(), held)
    restore_checkpoint(run, out)
    # the steps that are left
    rest = range(run.step * config.accumulate, total * config.accumulate)
    batches = degraded_batches(crops, rest, device, workers)
    with tqdm(total=total, initial=run.step, desc=f"train {out.name}", unit="step", disable=RANK > 0) as bar:
        while run.step < total:
            if run.step == config.norm_freeze_step(total):
                estimate_statistics(run, run.model, training, total)
            run.train_mode(total)
            try:
                terms = run.update(batches, total)
            except FloatingPointError as e:
                save_file({"images": e.args[1].contiguous()}, out / NAN_BATCH)
                raise FloatingPointError(f"{e.args[0]}; the batch is in {out / NAN_BATCH}") from None
            run.curve.append({"step": run.step, **{k: round(v, 6) for k, v in terms.items()}})
            bar.update()
            images = (bar.format_dict["rate"] or 0) * config.images
            bar.set_postfix({"loss": f"{terms['loss']:.4f}", "images/s": f"{images:.0f}"}, refresh=False)
            if run.step % config.checkpoint_every == 0 and run.step < total and RANK == 0:
                run.curve[-1]["rank_consistency"] = rank_consistency(run.averaged.eval(), held)
                save_checkpoint(run, out)
    # batch-norm statistics of the final weights
    if config.batch_norm == "train" and config.norm_freeze_step(total) is None:
        estimate_statistics(run, run.averaged, training, total)
    # what a finished run leaves
    record = {
        "model": run.averaged.config,
        "train": config.model_dump(),
        "steps": total,
        "rank_consistency_before": round(before, 6),
        "rank_consistency": round(rank_consistency(run.averaged.eval(), held), 6),
        "weights": weight_changes(run),
        "batch_norm": batch_norm.shift(run.initial_statistics, batch_norm.statistics(run.averaged.encoder)),
        "contents": {"train": len(training), "held_out": len(validation), "unreadable": run.unreadable},
        "curve": run.curve,
    }
    if RANK == 0:
        write_result(run, out, record)
    return record


def estimate_statistics(run: Run, model: QualiCLIP, files: list[str], total: int) -> None:
    """Estimate the batch-norm statistics of a model's weights over `norm_batches` batches that no step trains on."""
    c = run.config
    if not c.norm_batches:
        return
    crops = CropPairs(files, c, shared=True)
    steps = range(total * c.accumulate, total * c.accumulate + c.norm_batches)
    bar = {"desc": "batch-norm statistics", "unit": "batch", "total": c.norm_batches, "disable": RANK > 0}
    batches = tqdm(degraded_batches(crops, steps, run.device), **bar)
    batch_norm.estimate(model.encoder, ((x.flatten(0, 2) - model.mean) / model.std for x, _ in batches))


def weight_changes(run: Run) -> dict[str, float]:
    """How far the weights of the encoder moved: relative L2 distance, share of weights that moved, largest change."""
    changes = [
        (p.detach() - p0).double() for p, p0 in zip(run.averaged.encoder.parameters(), run.initial_weights, strict=True)
    ]
    distance = sum(float(d.square().sum()) for d in changes) ** 0.5
    length = sum(float(p0.double().square().sum()) for p0 in run.initial_weights) ** 0.5
    moved = sum(int((d != 0).sum()) for d in changes) / sum(d.numel() for d in changes)
    largest = max(float(d.abs().max()) for d in changes)
    return {
        "relative_change": float(f"{distance / length:.6g}"),
        "share_moved": round(moved, 6),
        "largest_change": float(f"{largest:.6g}"),
        "movable_by_a_step": round(run.optimizer.movable, 6),
    }


def write_result(run: Run, out: Path, record: dict[str, Any]) -> None:
    """Write weights and record, and remove the checkpoints."""
    with atomic(out / WEIGHTS) as temporary:
        save_file({k: v.contiguous() for k, v in run.averaged.state_dict().items()}, temporary)
    write_text(out / TRAIN_RECORD, json.dumps(record, indent=1) + "\n")
    for name in (CHECKPOINT, f"{CHECKPOINT}.previous"):
        (out / name).unlink(missing_ok=True)
