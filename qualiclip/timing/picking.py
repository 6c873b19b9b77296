"""Milliseconds to pick the photos of a training step from a large set: `python -m qualiclip.timing.picking`."""

from __future__ import annotations

import argparse
import time

from qualiclip.config import TrainConfig
from qualiclip.crops import CropPairs


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds to pick the photos of a training step.")
    parser.add_argument("--photos", type=int, default=140_000, help="default: %(default)s")
    args = parser.parse_args()
    config = TrainConfig()
    crops = CropPairs([f"{i}.png" for i in range(args.photos)], config)
    # a whole epoch, the first step apart: it draws the order
    steps = args.photos // config.crop_pairs
    seconds = []
    for step in range(steps):
        start = time.process_time()
        for i in range(config.crop_pairs):
            crops.pick(step, i)
        seconds.append(time.process_time() - start)
    rest = 1e3 * sum(seconds[1:]) / max(1, steps - 1)
    print(f"{args.photos} photos, {steps} steps: {rest:.3f} ms per step; the first {1e3 * seconds[0]:.1f} ms")


if __name__ == "__main__":
    main()
