"""What a GPU gives: `python -m qualiclip.timing.gpu`, about two minutes, no network.

Speed and memory of training RN50 at the paper's settings, time spent on codecs, projected hours of scale paper, speed
of the degradations and of scoring, equality of GPU and CPU, two processes on one GPU. Weights are random and photos are
samples of scikit-image, resized. Each part stands alone: one that fails prints its traceback, and the others run.
"""

from __future__ import annotations

import argparse
import copy
import gc
import itertools
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from qualiclip.bench.cards.base import METHODS, SCALES, read_card
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.cards.scale import read_config
from qualiclip.bench.plan.estimate import steps_of
from qualiclip.bench.score.run import run as score_job
from qualiclip.bench.workspace import Workspace
from qualiclip.config import TrainConfig
from qualiclip.crops import Batch, CropPairs, degraded_batches, generator
from qualiclip.degrade import GENERATORS, TYPES
from qualiclip.images import open_rgb
from qualiclip.inference import fast
from qualiclip.memory import keep_memory
from qualiclip.model import QualiCLIP
from qualiclip.score import score
from qualiclip.tensors import pick_device, to_image, to_tensor
from qualiclip.timing import codecs, parity
from qualiclip.timing.degradations import photo_crops, seconds_per_batch
from qualiclip.timing.model import both_models, degraded_photos, imitated, seconds_by_turns
from qualiclip.timing.scoring import folder_set
from qualiclip.train import Run, train

PAPER = SCALES / "paper.yaml"
Facts = dict[str, Any]
Models = dict[str, QualiCLIP]  # by precision


@dataclass
class Setting:
    """Where and how much to measure. The default is the paper's settings."""

    device: str
    folder: Path
    config: TrainConfig
    threads: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    steps: int = 60  # timed steps of the main configuration
    shape_steps: int = 16  # of the other configurations
    photos: int = 256
    crops: int = 160  # of a call of a degradation
    scored: int = 128
    smaller: Facts = field(default_factory=dict)  # what is smaller than the paper's
    sizes: tuple[tuple[int, int], ...] = ((512, 384), (1024, 768))
    patience: float = 80  # seconds for two processes

    def small(self) -> Setting:
        """The same at a size that a CPU finishes soon, to see that it runs."""
        self.smaller = {"encoder": "rn-mini", "crop": 64, "crop_pairs": 2}
        self.config = self.config.model_copy(update=self.smaller)
        self.steps, self.shape_steps, self.photos, self.crops, self.scored = 6, 2, 70, 10, 8
        self.sizes, self.patience = ((96, 64),), 900
        return self

    def files(self) -> list[str]:
        """Photos of KADIS-700k's size, more than training keeps in memory; written at the first call."""
        folder = self.folder / "photos"
        if not folder.exists():
            folder.mkdir()
            write_photos(folder, self.photos, 512, 384, "PNG")
        return sorted(str(f) for f in folder.iterdir())


def photos(n: int, width: int, height: int) -> Tensor:
    """(n, 3, height, width) in [0, 1]: parts of sample photos, resized."""
    return F.interpolate(photo_crops(n, 384), size=(height, width), mode="bicubic").clamp(0, 1)


def write_photos(folder: Path, n: int, width: int, height: int, file_format: str) -> None:
    """Write n files; every 32nd has the same content."""
    for i, image in enumerate(photos(min(n, 32), width, height)):
        first = folder / f"{i:04d}.{file_format.lower()}"
        to_image(image).save(first, file_format, **({"quality": 95} if file_format == "JPEG" else {}))
        for k in range(i + 32, n, 32):
            shutil.copyfile(first, folder / f"{k:04d}{first.suffix}")


def milliseconds(calls: Iterable[Callable[[], object]], device: str) -> list[float]:
    """Of each call the time until the device is done, by events of the device where it has them."""
    times = []
    for call in calls:
        if device == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            start.record()
            call()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        else:
            begun = time.perf_counter()
            call()
            times.append(1e3 * (time.perf_counter() - begun))
    return times


def summary(times: list[float]) -> Facts:
    return {"median_ms": round(statistics.median(times), 2), "mean_ms": round(statistics.fmean(times), 2)}


def timed_steps(run: Run, s: Setting, steps: int, warm: int = 8) -> list[float]:
    """Milliseconds of whole training steps, from files to weights, after some to warm up."""
    batches = degraded_batches(CropPairs(s.files(), run.config), range(warm + steps), s.device, s.threads)
    run.train_mode(1000)
    return milliseconds([lambda: run.update(batches, 1000)] * (warm + steps), s.device)[warm:]


def pinned(pixels: Tensor, device: str) -> Tensor:
    """As a loader of training hands pixels over."""
    return pixels.pin_memory() if device == "cuda" else pixels


def machine(s: Setting) -> Facts:
    command = ["git", "rev-parse", "--short=12", "HEAD"] if shutil.which("git") else ["true"]
    git = subprocess.run(command, capture_output=True, text=True, check=False)
    return {
        "device": torch.cuda.get_device_name() if s.device == "cuda" else "cpu",
        "cpu_cores": s.threads,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "commit": git.stdout.strip() or "unknown",
    }


def training(s: Setting) -> Facts:
    """Steps with and without degrading, and memory."""
    if s.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    run = Run(s.config, s.device)
    whole = timed_steps(run, s, s.steps)
    peak = torch.cuda.max_memory_allocated() if s.device == "cuda" else 0
    # the same steps on batches that lie on the device
    crops = CropPairs(s.files(), s.config)
    ready = list(degraded_batches(crops, range(4), s.device))
    given = itertools.cycle(ready)
    alone = milliseconds([lambda: run.update(given, 1000)] * (3 + s.steps // 2), s.device)[3:]
    # degrading alone, codecs done
    batches = [Batch(pinned(crops[k][0], s.device), s.config, generator(0, 3, k, 0)) for k in range(12)]
    for batch in batches:
        codecs.wait(batch)
    degrading = milliseconds([partial(b.on, s.device) for b in batches], s.device)[2:]
    mean = statistics.fmean(whole)
    return {
        "images_per_step": s.config.images,
        "images_per_s": round(1e3 * s.config.images / mean, 1),
        "step": summary(whole),
        "step_on_ready_batches": summary(alone),
        "share_of_degrading_by_means": round(1 - statistics.fmean(alone) / mean, 3),
        "share_of_degrading_by_medians": round(1 - statistics.median(alone) / statistics.median(whole), 3),
        "degrading_alone_codecs_done": summary(degrading),
        "degraded_crops_per_s_codecs_done": round(1e3 * s.config.images / statistics.median(degrading)),
        "peak_memory_gib": round(peak / 2**30, 2),
        "precision": s.config.precision,
    }


def codec_times(s: Setting) -> Facts:
    """Milliseconds of a step that the main thread waits for codecs, while the device works on earlier steps."""
    run = Run(s.config, s.device)
    run.train_mode(1000)
    pixels = pinned(CropPairs(s.files(), s.config)[0][0], s.device)
    makers = codecs.batches(s.config, s.steps, pixels)

    def work(batch: Batch) -> None:
        run.update(iter([(batch.on(s.device), [])]), 1000)

    codecs.ahead(makers[:3], work)  # warm-up
    codecs.set_threads(1)
    first = codecs.begun_and_awaited(makers) / s.steps
    codecs.set_threads(s.threads)
    awaited = codecs.begun_and_awaited(makers) / s.steps
    # a codec may hold up the main thread without being waited for (Python's lock): whole steps tell
    begun = time.perf_counter()
    waited = codecs.ahead(makers, work) / s.steps
    with_codecs = (time.perf_counter() - begun) / s.steps
    done = [make() for make in makers[:16]]
    for batch in done:
        codecs.wait(batch)
    begun = time.perf_counter()
    for batch in done:
        work(batch)
    without = (time.perf_counter() - begun) / len(done)
    return {
        "one_thread_ms": round(1e3 * first, 2),
        "threads_awaited_ms": round(1e3 * awaited, 2),
        "awaited_while_the_device_works_ms": round(1e3 * waited, 2),
        "step_ms": round(1e3 * with_codecs, 2),
        "step_with_codecs_done_ms": round(1e3 * without, 2),
        "share_of_one_thread_that_the_step_does_not_show": round(1 - (with_codecs - without) / first, 4),
    }


def projection(s: Setting) -> Facts:
    """Hours of scale paper, from its config: steps of every training times the time of a step of its shape."""
    workspace = Workspace(read_config(PAPER))
    count = workspace.training_set.images.count
    configs = {name: workspace.config.variant(name) for name in workspace.variants()}
    configs = {k: c for k, c in configs.items() if c.total_steps(count)}  # those that take optimizer steps
    # each shape is measured once
    seconds: dict[tuple, float] = {}
    run: Run | None = None
    for c in sorted(configs.values(), key=lambda c: c.encoder):
        key = (c.encoder, c.crop_layout, c.levels, c.types_per_pair)
        if key in seconds:
            continue
        c = c.model_copy(update={"pretrained": None, **s.smaller})
        if run is None or run.config.encoder != c.encoder:
            run = None
            release()
            run = Run(c, s.device)
        run.config = run.losses.config = c
        seconds[key] = statistics.fmean(timed_steps(run, s, s.shape_steps, 4)) / 1e3
    # steps, and the batches of the final estimate as if they were steps
    hours = {}
    for name, c in configs.items():
        steps = steps_of(c, count) + c.norm_batches
        hours[name] = steps * seconds[(c.encoder, c.crop_layout, c.levels, c.types_per_pair)] / 3600
    first_seed = {k: h for k, h in hours.items() if "-seed" not in k}
    return {
        "photos": count,
        "steps_of_qualiclip": steps_of(configs["qualiclip"], count),
        "step_s": {" ".join(map(str, k)): round(v, 4) for k, v in seconds.items()},
        "hours_qualiclip": round(hours["qualiclip"], 2),
        "variants_one_seed": len(first_seed),
        "hours_one_seed": round(sum(first_seed.values()), 1),
        "trainings_all_seeds": len(hours),
        "hours_all_seeds": round(sum(hours.values()), 1),
    }


def degradations(s: Setting) -> Facts:
    """Crops per second of every type, all images of a call under one type."""
    images = photo_crops(s.crops, s.config.crop).to(s.device)
    facts: Facts = {}
    for operations in GENERATORS:
        seconds = {t: seconds_per_batch(t, images, 3, operations) / s.crops for t in TYPES}
        others = [v for t, v in seconds.items() if TYPES[t].group != "compression"]
        facts[operations] = {
            "crops_per_s_22_types_without_codecs": round(len(others) / sum(others)),
            "crops_per_s_24_types": round(len(seconds) / sum(seconds.values())),
            "slowest": {t: round(1 / v) for t, v in sorted(seconds.items(), key=lambda i: -i[1])[:5]},
        }
    return facts


def both(s: Setting) -> tuple[Callable[[Path], float], QualiCLIP, str]:
    """What scores one file as pyiqa does, this suite's model with the same random weights, and a name of the former."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            theirs, ours = both_models(Path(folder))
        name = "pyiqa image by image"
    except Exception as e:  # not installed, or it does not fit what else is here
        print(f"no pyiqa ({e!r}): its loop is imitated, with this suite's model as it is before any speed-up")
        theirs = ours = imitated()
        name = "imitation of pyiqa image by image"
    theirs = copy.deepcopy(theirs).to(s.device)

    @torch.no_grad()
    def one(file: Path) -> float:
        x = to_tensor(open_rgb(file)).float() / 255
        return theirs(x[None].to(s.device)).item()

    return one, ours, name


def from_files(files: list[Path], s: Setting, one: Callable[[Path], float], name: str, quick: Models) -> Facts:
    """Images per second from files to scores: image by image, as the scoring job, and as `qualiclip score`."""
    card = read_card(MethodCard, METHODS / "qualiclip.yaml")
    dataset, index = folder_set(files)
    plain = quick["float32"]
    loaded = SimpleNamespace(load=lambda device: None, score=lambda batch: plain.score(batch.images))

    def job() -> Tensor:
        rows = score_job(loaded, card, dataset, index, s.folder, s.device, s.threads)
        return torch.tensor(rows["score"].to_numpy(float))

    def command(model: QualiCLIP) -> Callable[[], Tensor]:
        return lambda: torch.tensor([r.score for r in score(model, files, s.device, progress=False)])

    ways = {name: lambda: torch.tensor([one(f) for f in files]), "scoring job": job}
    ways |= {f"qualiclip score, {p}": command(m) for p, m in quick.items()}
    scores = {k: way() for k, way in ways.items()}  # which also warms up
    seconds = {k: statistics.median(v) for k, v in seconds_by_turns(ways, 2, s.device).items()}
    return {
        k: {
            "images_per_s": round(len(files) / seconds[k], 1),
            "times_the_first": round(seconds[name] / seconds[k], 2),
            "max_difference": float(f"{(scores[k] - scores[name]).abs().max():.1e}"),
        }
        for k in ways
    }


def on_device(images: Tensor, quick: Models, device: str) -> Facts:
    """Images per second of the model alone."""

    def batches(model: QualiCLIP, n: int) -> Callable[[], Tensor]:
        return lambda: torch.cat([model.score(part) for part in images.split(n)])

    ways = {f"model alone, {p}, batches of {n}": batches(m, n) for p, m in quick.items() for n in (1, 16)}
    for way in ways.values():
        way()
    times = seconds_by_turns(ways, 3, device)
    return {k: {"images_per_s": round(len(images) / statistics.median(v), 1)} for k, v in times.items()}


def scoring(s: Setting) -> Facts:
    """Images per second of scoring, at common sizes."""
    one, ours, name = both(s)
    quick = {p: fast(ours, getattr(torch, p), s.device) for p in ("float32", "bfloat16")}
    facts: Facts = {}
    for width, height in s.sizes:
        folder = s.folder / f"{width}x{height}"
        folder.mkdir(exist_ok=True)
        write_photos(folder, s.scored, width, height, "JPEG")
        files = sorted(folder.iterdir())
        images = torch.stack([to_tensor(open_rgb(f)) for f in files[:64]]).to(s.device).float() / 255
        facts[f"{width}x{height}"] = {
            **from_files(files, s, one, name, quick),
            **on_device(images, quick, s.device),
        }
    return facts


def equality(s: Setting) -> Facts:
    """How far results on the device differ from the CPU's."""
    model = both(s)[1]
    return {
        "degradations": parity.of_degradations(photo_crops(10, s.config.crop), s.device),
        "scores": parity.of_scores(model, degraded_photos(min(48, s.scored), *s.sizes[0]), s.device),
        "loss": parity.of_losses(s.config, CropPairs(s.files(), s.config)[0][0], s.device),
    }


def one_training(c: TrainConfig, files: list[str], out: Path, device: str) -> tuple[list[float], float, float]:
    """A short training, whole: losses, rank consistency at its end, seconds."""
    start = time.perf_counter()
    record = train(c, files, out, device)
    return [r["loss"] for r in record["curve"]], record["rank_consistency"], time.perf_counter() - start


def two_processes(s: Setting) -> Facts:
    """Two whole trainings at once on one device, of the same seed."""
    c = s.config.model_copy(update={"epochs": None, "steps": s.steps // 3, "norm_batches": 4, "checkpoint_every": 5})
    tasks = [(c, s.files(), s.folder / f"run{i}", s.device) for i in range(2)]
    with get_context("spawn").Pool(2) as pool:
        runs = pool.starmap_async(one_training, tasks, chunksize=1).get(timeout=s.patience)
    (a, rank_a, seconds_a), (b, rank_b, seconds_b) = runs
    return {
        "steps": len(a),
        "losses": [a[0], a[-1]],
        "largest_difference_of_losses": max(abs(x - y) for x, y in zip(a, b, strict=True)),
        "rank_consistency": [rank_a, rank_b],
        "seconds_with_start_and_validation": [round(seconds_a, 1), round(seconds_b, 1)],
    }


PARTS: dict[str, Callable[[Setting], Facts]] = {
    "machine": machine,
    "training": training,
    "scoring": scoring,
    "equality": equality,
    "projection": projection,
    "codecs": codec_times,
    "degradations": degradations,
    "two_processes": two_processes,
}


def release() -> None:
    """Give freed memory of the device back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def flat(facts: Facts, path: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in facts.items():
        name = f"{path} / {key}" if path else key
        yield from flat(value, name) if isinstance(value, dict) else [(name, value)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed, memory and equality to the CPU on this machine's GPU.")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: a GPU if any")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that it runs; numbers mean nothing")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument("--limit", type=float, default=150, help="seconds after which no part begins (%(default)s)")
    parser.add_argument("--out", type=Path, help="JSON file, written anew after each part")
    args = parser.parse_args()
    begun = time.perf_counter()
    keep_memory()
    config = read_config(PAPER).variant("qualiclip").model_copy(update={"pretrained": None})
    results: Facts = {}
    with tempfile.TemporaryDirectory() as folder:
        s = Setting(pick_device(args.device), Path(folder), config)
        torch.set_num_threads(s.threads)
        s = s.small() if args.smoke else s
        for name in args.parts:
            start = time.perf_counter()
            if start - begun > args.limit:
                results[name] = {"left out": "no time"}
                continue
            try:
                results[name] = PARTS[name](s)
            except Exception as e:
                traceback.print_exc()
                results[name] = {"failed": f"{type(e).__name__}: {e}".splitlines()[0]}
            release()
            results[name]["seconds_of_this_part"] = round(time.perf_counter() - start, 1)
            print(f"{name}: {json.dumps(results[name])}", flush=True)
            if args.out:
                args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    # the table, last
    print(f"\n| | {'smoke, means nothing' if args.smoke else 'measured'} |\n|---|---|")
    for key, value in flat(results):
        print(f"| {key} | {value} |")


if __name__ == "__main__":
    main()
