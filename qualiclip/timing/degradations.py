"""Speed of the degradations: `python -m qualiclip.timing.degradations --size 224 --batch 80`."""

from __future__ import annotations

import argparse
import time

import torch
from PIL import Image
from skimage import data

from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade
from qualiclip.tensors import to_tensor

PAIR = 2 * N_LEVELS  # images that share a draw in training: two crops at five levels


def photo_crops(n: int, size: int) -> torch.Tensor:
    """(n, 3, size, size) crops in [0, 1] of scikit-image's sample photos; on noise codecs would take longer."""
    photos = [to_tensor(Image.fromarray(p)).float() / 255 for p in (data.astronaut(), data.coffee(), data.rocket())]
    g = torch.Generator().manual_seed(0)
    crops = []
    for i in range(n):
        photo = photos[i % len(photos)]
        top, left = (int(torch.randint(s - size + 1, (), generator=g)) for s in photo.shape[1:])
        crops.append(photo[:, top : top + size, left : left + size])
    return torch.stack(crops)


def seconds_per_batch(type_name: str, images: torch.Tensor, repeats: int, generator: str = "kadid") -> float:
    """Median seconds of one call on a batch (B, 3, H, W) of crop pairs, over `repeats` calls after one to warm up."""
    n = len(images)
    draw = Draw.sample(-(-n // PAIR), torch.Generator().manual_seed(0)).repeat(PAIR)[torch.arange(n)]
    levels = (torch.arange(n, device=images.device) % N_LEVELS + 1).float()
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        degrade(images, type_name, levels, draw, generator)
        if images.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeats // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds per crop of each degradation type.")
    parser.add_argument("--size", type=int, default=224, help="crop side in px (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=80, help="crops per call (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls; the median counts (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images = photo_crops(args.batch, args.size).to(args.device)
    # one line per type
    times = {}
    for type_name, t in TYPES.items():
        times[type_name] = 1e3 * seconds_per_batch(type_name, images, args.repeats) / args.batch
        print(f"{t.group:20s} {type_name:24s} {times[type_name]:8.3f} ms/crop", flush=True)
    # means with and without the codecs, which outweigh the others on a CPU
    others = [times[name] for name, t in TYPES.items() if t.group != "compression"]
    print(f"mean over {len(times)} types: {sum(times.values()) / len(times):.3f} ms/crop")
    print(f"mean over {len(others)} types without codecs: {sum(others) / len(others):.3f} ms/crop, "
          f"{1e3 * len(others) / sum(others):,.0f} crops/s")  # fmt: skip


if __name__ == "__main__":
    main()
