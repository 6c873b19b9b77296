"""Speeds of this machine, measured in about a minute: training steps, and scoring by what needs no download.

On a CPU seconds are those of one core (process time, so that other programs on the machine hardly count), on a GPU they
are elapsed. Methods whose weights would have to be fetched first come from a record (workflow/speeds.csv, written by
`python -m tests.rehearsal.speeds`), whose seconds are turned into those of this machine by the time of one ResNet-50.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from skimage import data

from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.measure.efficiency import processor
from qualiclip.bench.methods.contract import Batch, FittedMethod, Method, Part, Split, SplitMethod
from qualiclip.bench.methods.load import create
from qualiclip.bench.plan.costs import CALIBRATION, Cost, Speeds, Training, training_kind
from qualiclip.bench.plan.jobs import Job
from qualiclip.bench.score import per_split
from qualiclip.bench.score.batch import prepare_process
from qualiclip.bench.workspace import Workspace
from qualiclip.config import TRAIN_RECORD, WEIGHTS, TrainConfig
from qualiclip.crops import CropPairs, degraded_batches
from qualiclip.degrade import TYPES, Draw, degrade
from qualiclip.images import image_size, open_rgb
from qualiclip.io import write_text
from qualiclip.tensors import to_tensor
from qualiclip.train import Run, estimate_statistics

SIZES = ((512, 384), (1024, 768))  # px; what an image costs is a line through these two
SPLITS, TRAINED_ON = 10, 8  # of a method that is trained per split: splits, and images in each
STEP_SECONDS, SCORE_SECONDS = 6.0, 1.0  # after which a measurement is not repeated
REPEATS = 20
BATCH = {"cpu": 4, "cuda": 64}  # images scored at once, at most


def timed(call: Callable[[], Any], device: str, limit: float) -> float:
    """Median seconds of a call, repeated until `limit` seconds have passed; the first warms up, unless it is alone."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    times: list[float] = []
    while not times or (sum(times) < limit and len(times) < REPEATS):
        start = clock()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(clock() - start)
    return float(np.median(times[1:] or times))


def write_photos(folder: Path, size: tuple[int, int], n: int) -> list[Path]:
    """Sample photos of scikit-image as PNG files of `size` (width, height)."""
    samples = (data.rocket(), data.coffee(), data.astronaut(), data.chelsea())
    files = [folder / f"{size[0]}x{size[1]}-{i}.png" for i in range(n)]
    for i, file in enumerate(files):
        Image.fromarray(samples[i % len(samples)]).resize(size, Image.Resampling.BICUBIC).save(file)
    return files


def through(small: float, large: float) -> Cost:
    """The cost whose seconds for an image of each of SIZES are these; neither part is negative."""
    few, many = (w * h / 1e6 for w, h in SIZES)
    slope = min(max(0.0, (large - small) / (many - few)), small / few)
    return Cost(0.0, small - few * slope, slope)


def time_method(method: Method, folder: Path, device: str, batch: int = 1, limit: float = SCORE_SECONDS) -> Cost:
    """Cost of scoring with a loaded method; photos are written into `folder`. Raises what the method raises."""
    seconds = []
    for size in SIZES:
        file = write_photos(folder, size, 1)[0]
        pixels = (to_tensor(open_rgb(file)).float() / 255).to(device).expand(batch, -1, -1, -1)
        images = Batch(pixels, [file.name] * batch, [file] * batch)
        with torch.no_grad():
            seconds.append(timed(partial(method.score, images), device, limit) / batch)
    return through(*seconds)


def time_fit(method: FittedMethod, out: Path, folder: Path, device: str) -> Cost:
    """Cost of fitting to photos; the result is written to `out`."""
    files = write_photos(folder, SIZES[0], 2)
    seconds = timed(lambda: method.fit(files, out, device), device, 0.0)
    return Cost(megapixel=seconds / len(files) / (SIZES[0][0] * SIZES[0][1] / 1e6))


def time_per_split(method: SplitMethod, length: int, device: str) -> Cost:
    """Cost of a method that is trained per split, on features of so many values."""
    rng = np.random.default_rng(0)
    part = Part(rng.standard_normal((TRAINED_ON, length)).astype(np.float32), rng.random(TRAINED_ON))
    seconds = timed(lambda: method.fit([Split(part, part)] * SPLITS, device), device, 0.0)
    return Cost(image=0.7 * seconds / TRAINED_ON)  # 7 of 10 images of a set are in the train part


def calibration(device: str) -> Cost:
    """Cost of one ResNet-50 on a photo."""
    model = torchvision.models.resnet50().eval().to(device)
    x = torch.rand(1, 3, *SIZES[0][::-1], device=device)
    with torch.inference_mode():
        return Cost(image=timed(partial(model, x), device, 3.0))


def time_training(config: TrainConfig, folder: Path, device: str, checkpoint: Path) -> Training:
    """Seconds of a training step from random weights, which cost the same; the model is left in `checkpoint`.

    A step has as many pairs as the time allows: the config's own number, where it does.
    """
    names = [str(f) for f in write_photos(folder, SIZES[0], 4)]
    base = config.model_copy(update={"pretrained": None, "accumulate": 1, "crop_pairs": 1, "norm_batches": 1})
    runs: list[Run] = []
    start = timed(lambda: runs.append(Run(base, device)), device, 0.0)
    run = runs[0]

    def step(pairs: int) -> Callable[[], Any]:
        run.config = base.model_copy(update={"crop_pairs": pairs})
        crops = CropPairs(names, run.config)

        def update() -> None:
            run.train_mode(1 << 20)
            run.update(degraded_batches(crops, range(run.step, run.step + 1), device), 1 << 20)

        return update

    # one pair, to learn how many fit into the time
    alone = timed(step(1), device, 0.0)
    pairs = max(1, min(config.crop_pairs, int(STEP_SECONDS / 2 / alone)))
    full = timed(step(pairs), device, STEP_SECONDS)
    forward = timed(lambda: estimate_statistics(run, run.averaged, names, run.step), device, 0.0)
    # the model, for the methods that score with it
    checkpoint.mkdir()
    state = {k: v.contiguous() for k, v in run.model.state_dict().items()}
    save_file(state, checkpoint / WEIGHTS)
    record = {"model": run.model.config, "train": base.model_dump()}
    write_text(checkpoint / TRAIN_RECORD, json.dumps(record))
    n, megabytes = run.config.images, (checkpoint / WEIGHTS).stat().st_size / 1e6
    return Training(start, full / n, forward / n, megabytes, state["prompts"].shape[-1])


def operations(folder: Path) -> dict[str, Cost]:
    """Cost of reading an image, of its size alone (`index`), and of the mean degradation."""
    draw, level = Draw.sample(1, torch.Generator().manual_seed(0)), torch.tensor([3.0])

    def degraded(photo: torch.Tensor) -> None:
        for name in TYPES:
            degrade(photo, name, level, draw)

    seconds: dict[str, list[float]] = {"decode": [], "degrade": []}
    for size in SIZES:
        file = write_photos(folder, size, 1)[0]
        photo = (to_tensor(open_rgb(file)).float() / 255)[None]
        seconds["decode"].append(timed(partial(open_rgb, file), "cpu", 0.3))
        seconds["degrade"].append(timed(partial(degraded, photo), "cpu", 0.0) / len(TYPES))
    costs = {name: through(*values) for name, values in seconds.items()}
    return costs | {"index": Cost(image=timed(lambda: image_size(file), "cpu", 0.1))}


def scored_methods(jobs: Sequence[Job], workspace: Workspace) -> list[MethodCard]:
    """Methods of the jobs that can be measured without a download, and are worth it."""
    names = {j.method for j in jobs if j.method and j.rule not in ("metrics", "score_precomputed")}
    cards = [workspace.all_methods[n] for n in sorted(names)]
    return [m for m in cards if m.sees_images and not (m.weights or m.pyiqa or m.not_run)]


def method_costs(
    card: MethodCard, checkpoint: Path | None, length: int, folder: Path, device: str, mirror: Path | None = None
) -> dict[str, Cost]:
    """Costs of a method, by its name and, if it is fitted, "fit <name>". Raises what the method raises.

    checkpoint: a model of random weights. length: values of a feature, for a method that is trained per split.
    mirror: of its weights.
    """
    if card.features_of:
        return {card.name: time_per_split(per_split.create(card, checkpoint, mirror), length, device)}
    fitted = folder / f"{card.name}.fitted" if card.fit else None
    index = pd.DataFrame({"image": [f"{w}x{h}-0.png" for w, h in SIZES], "mos": [1.0, 2.0]})
    method: Any = create(card, checkpoint, mirror, fitted=fitted, labels=index)
    costs = {f"fit {card.name}": time_fit(method, fitted, folder, device)} if card.fit else {}
    start = timed(lambda: method.load(device), device, 0.0)
    cost = time_method(method, folder, device, min(card.input.batch, BATCH[device]))
    return costs | {card.name: Cost(start, cost.image, cost.megapixel)}


def measure(jobs: Sequence[Job], workspace: Workspace, known: dict[str, Cost], device: str) -> Speeds:
    """Speeds of this machine for these jobs. known: costs of the record, which need no measurement.

    A method that cannot be measured is left out.
    """
    prepare_process()
    torch.manual_seed(0)
    trainings: dict[str, Training] = {}
    costs: dict[str, Cost] = {}
    by_encoder: dict[str, Cost] = {}
    methods = [m for m in scored_methods(jobs, workspace) if m.name not in known]
    variants = [j.variant for j in jobs if j.variant] + [v for m in methods if (v := workspace.variant_of(m))]
    with TemporaryDirectory() as name:
        folder, checkpoints = Path(name), dict[str, Path]()
        # trainings, one of each kind; each leaves a model
        for variant in dict.fromkeys(variants):
            config = workspace.config.variant(variant)
            kind = training_kind(config)
            if kind not in trainings:
                checkpoints.setdefault(config.encoder, folder / f"checkpoint-{len(trainings)}")
                place = folder / f"checkpoint-{len(trainings)}"
                trainings[kind] = time_training(config, folder, device, place)
        # methods; those that only score with a model cost what its encoder costs
        for m in methods:
            variant = workspace.variant_of(m)
            config = workspace.config.variant(variant) if variant else None
            plain = config is not None and not m.module
            if plain and config.encoder in by_encoder:
                costs[m.name] = by_encoder[config.encoder]
                continue
            length = trainings[training_kind(config)].features if config else 0
            where = "cpu" if m.input.device == "cpu" else device
            try:
                costs |= method_costs(m, checkpoints[config.encoder] if config else None, length, folder, where)
            except Exception as e:  # a method is foreign code
                print(f"{m.name} cannot be measured: {type(e).__name__}: {e}", file=sys.stderr)
                continue
            if plain:
                by_encoder[config.encoder] = costs[m.name]
        costs |= operations(folder)
    ratio = calibration(device).image / known[CALIBRATION].image if CALIBRATION in known else 1.0
    return Speeds(machine(device), device, ratio, costs, trainings)


def machine(device: str) -> str:
    """The processor, and the GPU where it was measured."""
    cores = f"{os.cpu_count()} cores of {processor()}"
    return f"{torch.cuda.get_device_name()}, {cores}" if device == "cuda" else cores
