"""Parameters, operations, time and memory that one method needs to score one image; it is alone in its process.

`python -m qualiclip.bench.measure.efficiency baselines/piqe.yaml --size 1024 768 --out efficiency/piqe.json`
The JSON file holds what `cost` measures, device, threads, and `reason`: why the method could not be run, else empty.
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
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
from qualiclip.tensors import to_image

REPEATS = 10  # timed calls
TIME_LIMIT = 20.0  # seconds after which no further call is timed


def held(value: Any) -> list[Any]:
    """What an object holds: items, attributes, and for a function what it is bound to or encloses."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    enclosed = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
    return [*getattr(value, "__dict__", {}).values(), getattr(value, "__self__", None), *enclosed]


def modules(value: Any, visited: set[int]) -> Iterator[nn.Module]:
    """All torch modules that an object holds, at any depth. visited: identities of the objects seen so far."""
    if id(value) in visited or isinstance(value, type | ModuleType):
        return
    visited.add(id(value))
    if isinstance(value, nn.Module):
        yield value
    else:
        for item in held(value):
            yield from modules(item, visited)


def parameters(method: Method) -> int:
    """Number of parameters of all torch modules that a method holds; shared ones are counted once."""
    return sum({id(p): p.numel() for m in modules(method, set()) for p in m.parameters()}.values())


def processor() -> str:
    """The name of the CPU."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def cost(method: Method, size: tuple[int, int], device: str) -> dict[str, Any]:
    """What a loaded method needs to score one image of `size` (width, height), which is noise on a gradient.

    parameters and flops are counts, seconds is the median of `repeats` calls after one to warm up, memory is the peak
    in bytes that torch allocated on a GPU; None on a CPU, where the process is mostly Python and torch themselves.
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
    return {
        "parameters": parameters(method),
        "flops": counter.get_total_flops(),
        "seconds": sorted(times)[len(times) // 2],
        "memory": torch.cuda.max_memory_allocated() if device == "cuda" else None,
        "repeats": len(times),
    }


def main() -> None:
    parser = job.parser("Measure what one method costs.", *job.METHOD, "--fitted", "--mirrored", "--threads", "--out")
    parser.add_argument("--size", type=int, nargs=2, required=True, metavar=("WIDTH", "HEIGHT"), help="px")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = job.device(args.device)
    card = read_card(MethodCard, args.method)
    # measure; a method that cannot be run has the reason in place of its cost
    facts: dict[str, Any] = {"reason": ""}
    try:
        method = create(card, args.checkpoint, args.mirror, args.trust, fitted=args.fitted)
        method.load(device)
        facts |= cost(method, tuple(args.size), device)
    except NotRun as e:
        facts["reason"] = str(e)
    except RuntimeError as e:  # the image is too small for it, or the memory of a GPU does not suffice
        facts["reason"] = f"failed on {args.size[0]}x{args.size[1]} px: {e}".splitlines()[0]
    # write the file and its record
    facts |= {"device": job.device_name(device) if device == "cuda" else processor(), "threads": args.threads}
    write_text(args.out, json.dumps(facts, indent=1) + "\n")
    job.record(args.out, card, complete=not facts["reason"], mirrored=args.mirrored, **facts)


if __name__ == "__main__":
    job.run(main)
