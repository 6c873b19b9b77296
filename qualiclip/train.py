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
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from qualiclip.config import TRAIN_RECORD, WEIGHTS, TrainConfig
from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade
from qualiclip.images import open_rgb
from qualiclip.io import atomic, write_text
from qualiclip.losses import consistency, negative_ranking, positive_ranking
from qualiclip.model import QualiCLIP
from qualiclip.prompts import PROMPT_PAIRS
from qualiclip.tensors import has_bfloat16, to_tensor

CHECKPOINT = "last.ckpt"
NAN_BATCH = "nan_batch.safetensors"
VALIDATION_STEP = 2**31  # steps from here on draw validation batches; training never gets there


def generator(*key: int) -> torch.Generator:
    """A CPU generator whose stream depends on the whole key, e.g. (seed, step)."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))


@lru_cache(maxsize=64)  # small sets decode once; memory stays bounded for large ones
def _decoded(path: str) -> Tensor:
    return to_tensor(open_rgb(path))


def _offsets(room: int, crop: int, layout: str, g: torch.Generator) -> tuple[int, int]:
    """Positions of the two crops along one axis that leaves `room` px to move them."""

    def uniform(low: float, high: float) -> int:
        return round(low + float(torch.rand((), generator=g)) * (high - low))

    first = uniform(0, room)
    if layout == "disjoint":  # as far apart as the image allows, up to one crop
        return (0, room) if room < crop else (first % (room - crop + 1), min(room, first % (room - crop + 1) + crop))
    reach = crop // 2  # overlapping: at least half of the side is shared
    return first, uniform(max(0, first - reach), min(room, first + reach))


class CropPairs(Dataset):
    """Step k -> uint8 crops (n, V, 3, crop, crop), V = 2, or 1 with a single crop.

    n is the number of pairs per step, or this process's share of them under torchrun.
    """

    def __init__(self, files: list[str], config: TrainConfig, rank: int = 0, world: int = 1):
        if config.crop_pairs % world:
            raise ValueError(f"{config.crop_pairs} crop pairs per step cannot be shared among {world} processes")
        self.files, self.config = files, config
        self.mine = range(rank, config.crop_pairs, world)

    def __len__(self) -> int:
        return self.config.total_steps(len(self.files)) * self.config.accumulate

    def __getitem__(self, step: int) -> Tensor:
        return torch.stack([self._pair(step, i, generator(self.config.seed, 0, step, i)) for i in self.mine])

    def _pair(self, step: int, i: int, g: torch.Generator) -> Tensor:
        return self._crops(self._pick(step, i, g), g)

    def _pick(self, step: int, i: int, g: torch.Generator) -> str:
        """The photo behind pair i of a step."""
        if len(self.files) < 100_000:  # each epoch is a permutation of its own
            n = step * self.config.crop_pairs + i
            order = torch.randperm(len(self.files), generator=generator(self.config.seed, 1, n // len(self.files)))
            return self.files[order[n % len(self.files)]]
        return self.files[int(torch.randint(len(self.files), (), generator=g))]

    def _crops(self, file: str, g: torch.Generator) -> Tensor:
        """(V, 3, crop, crop): the photo shrunk and mirrored at random, and cut."""
        c, image = self.config, _decoded(file)
        side = min(image.shape[1:])
        if side < c.crop:
            raise ValueError(f"{file}: {image.shape[2]}x{image.shape[1]} px is smaller than the crop of {c.crop} px")
        factor = max(c.crop / side, 1 - float(torch.rand((), generator=g)) * (1 - c.min_downscale))
        if factor < 1:
            size = [max(c.crop, round(s * factor)) for s in image.shape[1:]]
            image = torch.nn.functional.interpolate(image[None], size=size, mode="bicubic", antialias=True)[0]
        if torch.rand((), generator=g) < 0.5:
            image = image.flip(2)
        (y1, y2), (x1, x2) = (_offsets(s - c.crop, c.crop, c.crop_layout, g) for s in image.shape[1:])
        places = [(y1, x1)] if c.crop_layout == "single" else [(y1, x1), (y2, x2)]
        return torch.stack([image[:, y : y + c.crop, x : x + c.crop] for y, x in places])


def degraded(crops: Tensor, config: TrainConfig, g: torch.Generator) -> Tensor:
    """(n, V, 3, H, W) in [0, 1] -> (n, V, L, 3, H, W): each pair under one drawn type at L levels."""
    n, v = crops.shape[:2]
    levels = torch.linspace(config.first_level, N_LEVELS, config.levels, device=crops.device)
    out = crops[:, :, None].repeat(1, 1, config.levels, 1, 1, 1)
    types = torch.stack([torch.randperm(len(TYPES), generator=g)[: config.types_per_pair] for _ in range(n)])
    for k in range(config.types_per_pair):
        draw = Draw.sample(n, g)
        for type_index in types[:, k].unique():
            # all pairs of one type are degraded together; the crops of a pair share their draw at every level
            members = (types[:, k] == type_index).nonzero().flatten()
            flat = out[members].flatten(0, 2)
            repeated = draw[members].repeat(v * config.levels)
            done = degrade(flat, list(TYPES)[type_index], levels.repeat(len(members) * v), repeated)
            out[members] = done.view(len(members), *out.shape[1:])
    return out


def loss_terms(model: QualiCLIP, images: Tensor, c: TrainConfig) -> dict[str, Tensor]:
    """(n, V, L, 3, H, W) -> the weighted sum `loss` and its three unweighted terms.

    Only the encoder computes in bfloat16: the margins are of the size of its rounding.
    """
    device = images.device.type
    reduced = c.precision == "bfloat16" and has_bfloat16(device)
    with torch.autocast(device, torch.bfloat16, enabled=reduced):
        features = model.encode(images.flatten(0, 2))
    s = model.compare(features).unflatten(0, images.shape[:3])
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
        i, j = torch.triu_indices(score.shape[2], score.shape[2], offset=1)
        in_order.append((score[:, :, i] > score[:, :, j]).double().mean())
    return float(torch.stack(in_order).mean())


def held_out(files: list[str], config: TrainConfig) -> tuple[list[str], list[str]]:
    """Split pristine files into training and validation contents, by the seed."""
    order = torch.randperm(len(files), generator=generator(config.seed, 2)).tolist()
    n = max(1, round(config.holdout * len(files)))
    return [files[i] for i in order[n:]], [files[i] for i in order[:n]]


def validation_batches(files: list[str], config: TrainConfig, device: str, n_batches: int = 8) -> list[Tensor]:
    """Fixed degraded batches of held-out contents."""
    crops = CropPairs(files, config)
    batches = []
    for b in range(n_batches):
        step = VALIDATION_STEP + b
        x = crops[step].to(device).float() / 255
        batches.append(degraded(x, config, generator(config.seed, 3, step)))
    return batches


class Run:
    """The state of one training run: model, optimizer, moving average, loss curve; saved and restored as a whole."""

    def __init__(self, config: TrainConfig, device: str, rank: int = 0, world: int = 1):
        self.config, self.device, self.rank, self.world = config, device, rank, world
        pairs = config.prompt_pairs or PROMPT_PAIRS
        model = QualiCLIP.create(config.encoder, config.pretrained, pairs, config.logit_scale, config.seed)
        self.model = model.to(device, memory_format=torch.channels_last)  # convolutions take a third less time so
        self.averaged = copy.deepcopy(self.model) if config.ema_decay else self.model
        self.optimizer = torch.optim.AdamW(
            self.model.encoder.parameters(), lr=config.lr, weight_decay=config.weight_decay
        )
        self.step = 0
        self.curve: list[dict[str, float]] = []

    def update(self, batches: Iterator[Tensor], total: int) -> dict[str, float]:
        """One optimizer step over `accumulate` batches of crops. Returns the mean loss terms.

        Raises FloatingPointError when the loss is not finite, with the batch as `args[1]`.
        """
        c = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, total, c)
        # gradients of all batches behind this update
        sums: dict[str, float] = {}
        for a in range(c.accumulate):
            crops = next(batches).to(self.device, non_blocking=True).float() / 255
            images = degraded(crops, c, generator(c.seed, 3, self.step * c.accumulate + a, self.rank))
            terms = loss_terms(self.model, images, c)
            if not torch.isfinite(terms["loss"]):
                problem = f"step {self.step + 1}: the loss is {terms['loss'].item()}; lower lr or add warm-up"
                raise FloatingPointError(problem, images.detach().cpu())
            (terms["loss"] / c.accumulate).backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.item() / c.accumulate
        if self.world > 1:
            self._share_gradients()
        # update the weights, and their moving average
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if c.ema_decay:
            self._average(min(c.ema_decay, self.step / (self.step + 10)))
        return sums

    def _share_gradients(self) -> None:
        """The mean gradient over all processes, in each of them."""
        for parameter in self.model.encoder.parameters():
            dist.all_reduce(parameter.grad)
            parameter.grad /= self.world

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        """Move the average towards the present weights and batch-norm statistics."""
        for kept, now in zip(self.averaged.state_dict().values(), self.model.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(now, 1 - decay)


def save_checkpoint(run: Run, folder: Path) -> None:
    """Write last.ckpt; the one before stays as last.ckpt.previous until the next."""
    state = {
        "config": run.config.model_dump(),
        "model": run.model.state_dict(),
        "averaged": run.averaged.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "step": run.step,
        "curve": run.curve,
    }
    path = folder / CHECKPOINT
    with atomic(path) as temporary:
        torch.save(state, temporary)
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
        fresh = copy.deepcopy(vars(run))
        try:
            if state["config"] != run.config.model_dump():
                print(f"{path} belongs to another configuration and is ignored", file=sys.stderr)
                continue
            run.model.load_state_dict(state["model"])
            run.averaged.load_state_dict(state["averaged"])
            run.optimizer.load_state_dict(state["optimizer"])
            run.step, run.curve = state["step"], state["curve"]
        except (KeyError, TypeError, ValueError, RuntimeError) as e:
            vars(run).update(fresh)  # what was restored before the error
            print(f"{path} has an older format and is ignored: {e!r}".splitlines()[0], file=sys.stderr)
            continue
        print(f"resuming from {path}, step {run.step}", file=sys.stderr)
        return


def train(config: TrainConfig, files: list[str], out: Path, device: str, workers: int = 0) -> dict[str, Any]:
    """Train one variant on pristine image files; write weights.safetensors and train.json into `out`.

    device: "cpu" or "cuda". workers: processes that read images; 0 reads in this one.
    Returns the record that train.json holds: model, train (the config), steps, rank_consistency, contents, curve.
    Under torchrun the pairs of a step are shared among the processes, and the first one writes.
    Raises ValueError for an image smaller than the crop, FloatingPointError when the loss is not finite: the batch,
    (n, V, L, 3, H, W) in [0, 1], is then in out/nan_batch.safetensors.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if world > 1:
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    out.mkdir(parents=True, exist_ok=True)
    # contents for training and for validation, and the run as an earlier, killed process left it
    training, validation = held_out(files, config)
    crops = CropPairs(training, config, rank, world)
    total = config.total_steps(len(training))
    run = Run(config, device, rank, world)
    restore_checkpoint(run, out)
    held = validation_batches(validation, config, device)
    # the steps that are left
    rest = range(run.step * config.accumulate, total * config.accumulate)
    batches = iter(DataLoader(crops, sampler=rest, batch_size=None, num_workers=workers, pin_memory=device == "cuda"))
    with tqdm(total=total, initial=run.step, desc=f"train {out.name}", unit="step", disable=rank > 0) as bar:
        while run.step < total:
            run.model.train()
            try:
                terms = run.update(batches, total)
            except FloatingPointError as e:
                save_file({"images": e.args[1].contiguous()}, out / NAN_BATCH)
                raise FloatingPointError(f"{e.args[0]}; the batch is in {out / NAN_BATCH}") from None
            run.curve.append({"step": run.step, **{k: round(v, 6) for k, v in terms.items()}})
            bar.update()
            images = (bar.format_dict["rate"] or 0) * config.images
            bar.set_postfix({"loss": f"{terms['loss']:.4f}", "images/s": f"{images:.0f}"}, refresh=False)
            if run.step % config.checkpoint_every == 0 and run.step < total and rank == 0:
                run.curve[-1]["rank_consistency"] = rank_consistency(run.averaged.eval(), held)
                save_checkpoint(run, out)
    # the first process writes what a finished run leaves
    record = {
        "model": run.averaged.config,
        "train": config.model_dump(),
        "steps": total,
        "rank_consistency": round(rank_consistency(run.averaged.eval(), held), 6),
        "contents": {"train": len(training), "held_out": len(validation)},
        "curve": run.curve,
    }
    if rank == 0:
        write_result(run, out, record)
    if world > 1:
        dist.destroy_process_group()
    return record


def write_result(run: Run, out: Path, record: dict[str, Any]) -> None:
    """Write weights and record, and remove the checkpoints."""
    with atomic(out / WEIGHTS) as temporary:
        save_file({k: v.contiguous() for k, v in run.averaged.state_dict().items()}, temporary)
    write_text(out / TRAIN_RECORD, json.dumps(record, indent=1) + "\n")
    for name in (CHECKPOINT, f"{CHECKPOINT}.previous"):
        (out / name).unlink(missing_ok=True)
