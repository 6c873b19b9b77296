"""Parameters, operations, time and memory of one method, alone in its process.

`python -m qualiclip.bench.efficiency baselines/piqe.yaml --size 1024 768 --out efficiency/piqe.json`
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from qualiclip.bench import provenance
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import MethodCard
from qualiclip.bench.files import command, write_text
from qualiclip.bench.methods import Batch, Method, NotRun, create
from qualiclip.tensors import pick_device, to_image

REPEATS, PATIENCE = 10, 20.0  # timed calls; no further one begins after so many seconds


def parameters(method: Method) -> int:
    """Parameters of all modules that a method holds, each counted once."""
    modules = [v for v in vars(method).values() if isinstance(v, nn.Module)]
    return sum({id(p): p.numel() for m in modules for p in m.parameters()}.values())


def cost(method: Method, size: tuple[int, int], device: str) -> dict[str, Any]:
    """Measure a loaded method on one image of `size` (width, height), which is noise on a gradient.

    parameters, flops: counts; seconds: median of the repeats after one call to warm up; memory: bytes.
    """
    w, h = size
    ramp = torch.linspace(0, 1, w).expand(3, h, w)
    image = (ramp + 0.1 * torch.randn(3, h, w, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"  # for methods that look at the file
        to_image(image).save(file)
        batch = Batch(image[None].to(device), [file.name], [file])
        with FlopCounterMode(display=False) as counter:
            method.score(batch)
        times: list[float] = []
        start = time.perf_counter()
        while len(times) < REPEATS and (not times or time.perf_counter() - start < PATIENCE):
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
    parser = argparse.ArgumentParser(description="Measure what one method costs.")
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml")
    parser.add_argument("--size", type=int, nargs=2, required=True, metavar=("WIDTH", "HEIGHT"), help="px")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint folder of the card's variant")
    parser.add_argument("--fitted", type=Path, help="what the method's fit has written")
    parser.add_argument("--mirror", type=Path, help="folder whose pyiqa/<file> is taken in place of the network")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    found: dict[str, Any] = {"not_run": None}
    try:
        method = create(read_card(MethodCard, args.method), args.checkpoint, args.mirror, fitted=args.fitted)
        method.load(device)
        found |= cost(method, tuple(args.size), device)
    except CardError as e:
        sys.exit(f"error: {e}")
    except NotRun as e:
        found["not_run"] = str(e)
    except RuntimeError as e:  # an image too small for it, or a GPU's memory: said in its row
        found["not_run"] = f"failed on {args.size[0]}x{args.size[1]} px: {e}".splitlines()[0]
    found |= {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "threads": args.threads}
    write_text(args.out, json.dumps(found, indent=1) + "\n")
    provenance.record(args.out, method=args.method.stem, **found)


if __name__ == "__main__":
    command(main)
