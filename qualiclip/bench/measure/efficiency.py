"""Parameters, operations, time and memory that one method needs to score one image; it is alone in its process.

`python -m qualiclip.bench.measure.efficiency baselines/piqe.yaml --size 1024 768 --out efficiency/piqe.json`
The JSON file holds what `cost` measures, device, threads, and `reason`: why the method could not be run, else empty.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from qualiclip.bench import job
from qualiclip.bench.cards.base import read_card
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.methods.contract import Batch, Method, NotRun
from qualiclip.bench.methods.load import create
from qualiclip.io import write_text
from qualiclip.tensors import pick_device, to_image

REPEATS = 10  # timed calls
TIME_LIMIT = 20.0  # seconds after which no further call is timed


def parameters(method: Method) -> int:
    """Number of parameters of all torch modules among a method's attributes; shared ones are counted once."""
    modules = [v for v in vars(method).values() if isinstance(v, nn.Module)]
    return sum({id(p): p.numel() for m in modules for p in m.parameters()}.values())


def cost(method: Method, size: tuple[int, int], device: str) -> dict[str, Any]:
    """What a loaded method needs to score one image of `size` (width, height), which is noise on a gradient.

    parameters and flops are counts, seconds is the median of `repeats` calls after one to warm up, memory is in bytes:
    the peak that torch allocated on a GPU, on a CPU the peak resident size of this process.
    """
    w, h = size
    ramp = torch.linspace(0, 1, w).expand(3, h, w)
    image = (ramp + 0.1 * torch.randn(3, h, w, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"  # for methods that look at the file
        to_image(image).save(file)
        batch = Batch(image[None].to(device), [file.name], [file])
        # the first call warms up, and its operations are counted
        with FlopCounterMode(display=False) as counter:
            method.score(batch)
        # timed calls, at least one
        times: list[float] = []
        start = time.perf_counter()
        while len(times) < REPEATS and (not times or time.perf_counter() - start < TIME_LIMIT):
            before = time.perf_counter()
            method.score(batch).sum().item()  # .item() waits for a GPU
            times.append(time.perf_counter() - before)
    seconds = sorted(times)[len(times) // 2]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "parameters": parameters(method),
        "flops": counter.get_total_flops(),
        "seconds": seconds,
        "images_per_second": 1 / seconds,
        "memory": torch.cuda.max_memory_allocated() if device == "cuda" else peak,
        "repeats": len(times),
    }


def main() -> None:
    names = ("method", "--checkpoint", "--fitted", "--mirror", "--device", "--threads", "--out")
    parser = job.parser("Measure what one method costs.", *names)
    parser.add_argument("--size", type=int, nargs=2, required=True, metavar=("WIDTH", "HEIGHT"), help="px")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    card = read_card(MethodCard, args.method)
    # measure; a method that cannot be run has the reason in place of its cost
    facts: dict[str, Any] = {"reason": ""}
    try:
        method = create(card, args.checkpoint, args.mirror, fitted=args.fitted)
        method.load(device)
        facts |= cost(method, tuple(args.size), device)
    except NotRun as e:
        facts["reason"] = str(e)
    except RuntimeError as e:  # the image is too small for it, or the memory of a GPU does not suffice
        facts["reason"] = f"failed on {args.size[0]}x{args.size[1]} px: {e}".splitlines()[0]
    # write the file and its record
    facts |= {"device": job.device_name(device), "threads": args.threads}
    write_text(args.out, json.dumps(facts, indent=1) + "\n")
    job.record(args.out, card, **facts)


if __name__ == "__main__":
    job.run(main)
