"""The training job: one variant, trained on the images of an index.

`python -m qualiclip.bench.train datasets/bsds500.yaml --index ... --raw datasets/raw --train '{"encoder": "rn-mini"}'
--out results/scratch/checkpoints/qualiclip/weights.safetensors`. With several GPUs the same under torchrun.
"""

from __future__ import annotations

import json
import os
import sys
import time

import torch

from qualiclip.bench import job
from qualiclip.bench.cards.base import parse
from qualiclip.bench.data.download import FetchError
from qualiclip.bench.formats import read_index
from qualiclip.bench.methods.hub_mirror import clip_from_mirror
from qualiclip.config import TRAIN_RECORD, TrainConfig
from qualiclip.io import digest, sha256
from qualiclip.memory import keep_memory
from qualiclip.train import train


def main() -> None:
    names = ("dataset", "--index", "--raw", "--mirror", "--device", "--threads", "--out")
    parser = job.parser("Train one variant of QualiCLIP on pristine images.", *names)
    parser.add_argument("--train", required=True, metavar="JSON", help="TrainConfig: keys that differ from the default")
    args = parser.parse_args()
    if job.absent([args.index], args.out, args.out.with_name(TRAIN_RECORD)):
        return
    processes = int(os.environ.get("WORLD_SIZE", 1))  # of torchrun, which share the threads
    threads = max(1, args.threads // processes)
    torch.set_num_threads(threads)
    keep_memory()
    start = time.perf_counter()
    config = parse(TrainConfig, "--train", json.loads(args.train))
    files = [str(args.raw / args.dataset.stem / f) for f in read_index(args.index)["image"]]
    device = job.device(args.device)
    # on a CPU the arithmetic uses all cores, and a reading process would only take one away
    workers = threads if device == "cuda" else 0
    try:
        with clip_from_mirror(args.mirror):
            record = train(config, files, args.out.parent, device, workers)
    except (FetchError, ValueError, FloatingPointError) as e:
        sys.exit(f"error: {e}")
    if int(os.environ.get("RANK", 0)):
        return  # under torchrun the first process writes
    job.record(
        args.out,
        config=digest(config.model_dump()),
        weights=sha256(args.out),
        seed=config.seed,
        device=job.device_name(device),
        threads=torch.get_num_threads(),
        processes=processes,
        seconds=round(time.perf_counter() - start, 3),
        images=record["steps"] * config.images,
    )


if __name__ == "__main__":
    job.run(main)
