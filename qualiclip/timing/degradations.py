"""Speed of the degradations: `python -m qualiclip.timing.degradations --help`."""

from __future__ import annotations

import argparse
import time

import torch
from PIL import Image
from skimage import data

from qualiclip.degrade import TYPES, Draw, degrade
from qualiclip.tensors import to_tensor


def photo_crops(n: int, size: int) -> torch.Tensor:
    """(n, 3, size, size) crops of scikit-image's sample photos: codecs are slower on noise than on photos."""
    photos = [to_tensor(Image.fromarray(p)).float() / 255 for p in (data.astronaut(), data.coffee(), data.rocket())]
    g = torch.Generator().manual_seed(0)
    crops = []
    for i in range(n):
        photo = photos[i % len(photos)]
        top, left = (int(torch.randint(s - size + 1, (), generator=g)) for s in photo.shape[1:])
        crops.append(photo[:, top : top + size, left : left + size])
    return torch.stack(crops)


def seconds_per_batch(kind: str, images: torch.Tensor, repeats: int) -> float:
    """Median seconds of one call on a batch made of pairs: 2 crops x 5 levels per draw."""
    n = len(images)
    draw = Draw.sample(-(-n // 10), torch.Generator().manual_seed(0)).repeat(10)[torch.arange(n)]
    levels = (torch.arange(n, device=images.device) % 5 + 1).float()
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        degrade(images, kind, levels, draw)
        if images.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[repeats // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds per crop of each degradation type.")
    parser.add_argument("--size", type=int, default=224, help="crop side in px (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=80, help="crops per call (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls, median taken")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images = photo_crops(args.batch, args.size).to(args.device)
    total = {}
    for kind, t in TYPES.items():
        total[kind] = 1e3 * seconds_per_batch(kind, images, args.repeats) / args.batch
        print(f"{t.group:20s} {kind:24s} {total[kind]:8.3f} ms/crop", flush=True)
    codecs = sum(total[k] for k, t in TYPES.items() if t.group == "compression")
    rest = sum(total.values()) - codecs
    print(f"mean over {len(total)} types: {sum(total.values()) / len(total):.3f} ms/crop")
    print(f"mean over {len(total) - 2} types without codecs: {rest / (len(total) - 2):.3f} ms/crop, "
          f"{1e3 * (len(total) - 2) / rest:,.0f} crops/s")  # fmt: skip


if __name__ == "__main__":
    main()
