"""Milliseconds of a training step that its main thread spends on codecs: `python -m qualiclip.timing.codecs`.

For the paper's batch, over many steps, since only some have a pair under JPEG or JPEG 2000. Three ways by turns: each
image after the other; in threads while the main thread waits; in threads while a device works on the steps before, as
training does it. The device is a sleep, which leaves all cores to the codecs; its length is a multiple of the first
way's time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable

import torch

from qualiclip.config import TrainConfig
from qualiclip.crops import AHEAD, Batch, generator
from qualiclip.degrade import compression
from qualiclip.timing.degradations import photo_crops


def batches(config: TrainConfig, steps: int, pixels: torch.Tensor) -> list[Callable[[], Batch]]:
    """What makes the batch of each step, and so begins its codecs."""

    def of(step: int) -> Callable[[], Batch]:
        return lambda: Batch(pixels, config, generator(config.seed, 3, step, 0))

    return [of(step) for step in range(steps)]


def wait(batch: Batch) -> float:
    """Seconds until the codecs of a batch are done."""
    start = time.perf_counter()
    for done in batch.compressed.values():
        done.result()
    return time.perf_counter() - start


def begun_and_awaited(makers: list[Callable[[], Batch]]) -> float:
    """Seconds of all steps, where the main thread waits for the codecs of each."""
    return sum(wait(make()) for make in makers)


def ahead(makers: list[Callable[[], Batch]], work: Callable[[Batch], object]) -> float:
    """Seconds that the main thread waits for codecs: those of the next steps run during the `work` on a batch."""
    begun: deque[Batch] = deque()
    waited = 0.0
    for step in range(len(makers) + AHEAD):
        begun.extend(make() for make in makers[step : step + 1])
        if step >= AHEAD:
            batch = begun.popleft()
            waited += wait(batch)
            work(batch)
    return waited


def busy_for(seconds: float) -> Callable[[Batch], None]:
    """The work of a device on a batch, imitated by a sleep."""
    return lambda _: time.sleep(seconds)


def set_threads(threads: int) -> None:
    """How many codecs work side by side from now on."""
    torch.set_num_threads(threads)
    compression._threads.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser(description="Main-thread milliseconds of a training step that codecs take.")
    parser.add_argument("--steps", type=int, default=48, help="default: %(default)s")
    parser.add_argument("--turns", type=int, default=3, help="the median counts (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    parser.add_argument("--device", type=float, nargs="+", default=[0.5, 1, 2], help="multiples (default: %(default)s)")
    args = parser.parse_args()
    config = TrainConfig()
    crops = photo_crops(2 * config.crop_pairs, config.crop).unflatten(0, (config.crop_pairs, 2))
    makers = batches(config, args.steps, (crops * 255).round().to(torch.uint8))
    # by turns, so that a machine whose speed drifts treats all alike
    first, awaited = "one after the other", f"{args.threads} threads, awaited"
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(args.turns):
        set_threads(1)
        seconds[first].append(begun_and_awaited(makers) / args.steps)
        set_threads(args.threads)
        seconds[awaited].append(begun_and_awaited(makers) / args.steps)
        for factor in args.device:
            name = f"{args.threads} threads, device busy for {factor:g} of the first"
            pause = factor * seconds[first][-1]
            seconds[name].append(ahead(makers, busy_for(pause)) / args.steps)
    for name, values in seconds.items():
        share = statistics.median(v / f for v, f in zip(values, seconds[first], strict=True))
        print(f"{name:44s} {1e3 * statistics.median(values):7.1f} ms per step, {share:.3f} of the first")


if __name__ == "__main__":
    main()
