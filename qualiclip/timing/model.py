"""Throughput of QualiCLIP (RN50) compared with pyiqa's: `python -m qualiclip.timing.model --images 96 --size 512 384`.

Both have the same random weights in the authors' layout, and score the same images. Rounds alternate, so that a
machine whose speed drifts treats both alike. pyiqa is called image by image, as its users do.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor

from qualiclip.degrade import TYPES, Draw, degrade
from qualiclip.inference import fast
from qualiclip.model import QualiCLIP
from qualiclip.score import BATCH_PIXELS
from qualiclip.timing.degradations import photo_crops


def degraded_photos(n: int, width: int, height: int) -> Tensor:
    """(n, 3, height, width) photos in [0, 1], each under one degradation type at a random level."""
    images = F.interpolate(photo_crops(n, 224), size=(height, width), mode="bicubic").clamp(0, 1)
    types = [name for name, t in TYPES.items() if t.group != "compression"]
    g = torch.Generator().manual_seed(0)
    done = [degrade(x[None], types[i % len(types)], torch.rand(1) * 5, Draw.sample(1, g)) for i, x in enumerate(images)]
    return torch.cat(done)


def random_clip() -> torch.nn.Module:
    """pyiqa's CLIP RN50 with random weights, and batch norm statistics of photos, as a trained encoder has them."""
    from pyiqa.archs.clip_model import CLIP

    torch.manual_seed(0)
    clip = CLIP(1024, 224, (3, 4, 6, 3), 64, None, 77, 49408, 512, 8, 1).float()
    clip.logit_scale.data.fill_(math.log(100))
    for name, parameter in clip.visual.named_parameters():
        if "bn" in name and name.endswith("weight"):
            torch.nn.init.uniform_(parameter, 0.5, 1.0)
    clip.train()
    with torch.no_grad():
        clip.visual(F.interpolate(photo_crops(16, 224), size=128) * 4 - 2)
    return clip.eval()


@torch.no_grad()
def spread_prompts(visual: torch.nn.Module) -> Tensor:
    """(14, D) prompt features along the directions in which features of photos differ most, so that scores spread.

    They spread less than those of a trained encoder. The prompts of a pair have a cosine of 0.9, which is a guess.
    """
    features = F.normalize(visual(degraded_photos(48, 128, 128) * 4 - 2), dim=-1)
    mean = features.mean(0)
    offsets = torch.linalg.svd(features - mean, full_matrices=False).Vh[:7] * math.sqrt((1 - 0.9) / 2)
    return F.normalize(torch.stack([mean + offsets, mean - offsets], 1).flatten(0, 1), dim=-1)


def both_models(folder: Path) -> tuple[torch.nn.Module, QualiCLIP]:
    """pyiqa's metric, and the model of this suite, with the same random weights, which are written into `folder`.

    Raises ImportError where pyiqa is not installed.
    """
    from pyiqa.archs import qualiclip_arch

    clip = random_clip()
    file = folder / "random.pth"
    state = {f"clip_model.{k}": v for k, v in clip.state_dict().items()}
    torch.save({**state, "prompts_features": spread_prompts(clip.visual)}, file)
    with (
        patch.object(qualiclip_arch, "load", lambda *_: clip),
        patch.object(qualiclip_arch, "load_file_from_url", lambda _: str(file)),
    ):
        theirs = qualiclip_arch.QualiCLIP("qualiclip").eval()
    ours = QualiCLIP.from_checkpoint(file)
    ours.logit_scale /= 2  # pyiqa's temperature
    return theirs, ours


def imitated() -> QualiCLIP:
    """A model with such weights, where pyiqa is not installed."""
    model = QualiCLIP.create(pretrained=None)
    model.encoder.train()
    with torch.no_grad():
        model.encoder(F.interpolate(photo_crops(16, 224), size=128) * 4 - 2)
    model.eval()
    model.prompts = spread_prompts(model.encoder).unflatten(0, (-1, 2))
    return model


def seconds_by_turns(runs: dict[str, Callable[[], Tensor]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of every run in every round; the runs take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="QualiCLIP's throughput against pyiqa's, on the same images.")
    parser.add_argument("--images", type=int, default=96, help="rank correlations of few images are coarse")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 384), metavar=("WIDTH", "HEIGHT"), help="px")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each (default: %(default)s)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    # models and images
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = (m.to(args.device) for m in both_models(Path(folder)))
    images = degraded_photos(args.images, *args.size).to(args.device)
    batch = max(1, BATCH_PIXELS[args.device] // (args.size[0] * args.size[1]))

    def batched(model: QualiCLIP) -> Callable[[], Tensor]:
        return lambda: torch.cat([model.score(part) for part in images.split(batch)])

    def one_by_one() -> Tensor:
        with torch.no_grad():
            return torch.cat([theirs(x[None]).flatten() for x in images])

    # scores, which also warm up, and times
    reference = "pyiqa, image by image"
    runs = {
        reference: one_by_one,
        "this suite, float32": batched(fast(ours, torch.float32, args.device)),
        "this suite, bfloat16": batched(fast(ours, torch.bfloat16, args.device)),
    }
    scores = {name: run().double().cpu() for name, run in runs.items()}
    seconds = seconds_by_turns(runs, args.rounds, args.device)
    # one line per run
    print(
        f"{len(images)} images of {args.size[0]}x{args.size[1]}, {args.threads} threads, median of {args.rounds} rounds"
    )
    for name in runs:
        ratio = statistics.median(a / b for a, b in zip(seconds[reference], seconds[name], strict=True))
        difference = float((scores[name] - scores[reference]).abs().max())
        rank = spearmanr(scores[name], scores[reference]).statistic
        speed = len(images) / statistics.median(seconds[name])
        print(f"{name:24s} {speed:8.2f} images/s  {ratio:5.2f}x  max |difference| {difference:.1e}  SRCC {rank:.4f}")


if __name__ == "__main__":
    main()
