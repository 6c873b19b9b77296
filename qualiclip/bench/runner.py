"""Score one dataset with one method: the only expensive result.

`python -m qualiclip.bench.runner baselines/piqe.yaml datasets/agiqa3k.yaml --index ... --out ...`
Every indexed image has a row, in index order. An image that fails has an empty score and its reason.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from qualiclip.bench import provenance
from qualiclip.bench.cards import CardError, DatasetCard, InputPolicy, MethodCard, read_card
from qualiclip.bench.files import atomic, sha256
from qualiclip.bench.methods import Batch, Method, NotRun, create
from qualiclip.images import open_rgb
from qualiclip.model import WEIGHTS, pick_device
from qualiclip.tensors import to_tensor


def shrink(image: Image.Image, shorter_side: int | None, how: str = "bicubic") -> Image.Image:
    """Resize so that the shorter side has `shorter_side` px; None leaves the image as it is."""
    if shorter_side is None or min(image.size) == shorter_side:
        return image
    scale = shorter_side / min(image.size)
    return image.resize([round(s * scale) for s in image.size], Image.Resampling[how.upper()])


class Images(Dataset):
    """Row -> (row, pixels uint8 (3, H, W), None) or (row, None, reason)."""

    def __init__(self, files: list[Path], dataset: DatasetCard, policy: InputPolicy):
        self.files, self.dataset, self.policy = files, dataset, policy

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[int, Tensor | None, str | None]:
        try:
            image = open_rgb(self.files[row])
            if self.dataset.resize:
                image = shrink(image, self.dataset.resize.shorter_side, self.dataset.resize.interpolation)
            return row, to_tensor(shrink(image, self.policy.shorter_side)), None
        except (OSError, ValueError, Image.DecompressionBombError) as e:
            return row, None, f"cannot be read: {e}"


def batches(index: pd.DataFrame, size: int) -> list[list[int]]:
    """Rows in batches of at most `size` images of one width and height, in index order otherwise."""
    groups = index.groupby(["width", "height"], sort=False).indices.values()
    return [list(rows[i : i + size]) for rows in groups for i in range(0, len(rows), size)]


def _outcomes(method: Method, rows: list[int], images: Tensor, files: list[Path], names: list[str]) -> Iterator:
    """(row, score, reason) of each image; if a batch fails, its images are tried one by one."""
    try:
        scores = method.score(Batch(images, names, files)).double().flatten().tolist()
        if len(scores) != len(rows):
            raise RuntimeError(f"{len(scores)} scores for {len(rows)} images")
        for row, score in zip(rows, scores, strict=True):
            yield (row, score, "") if math.isfinite(score) else (row, None, f"the score is {score}")
    except Exception as e:  # a method is foreign code: whatever it raises becomes the row's reason
        if len(rows) == 1:
            yield rows[0], None, f"{type(e).__name__}: {e}".splitlines()[0]
            return
        for i in range(len(rows)):
            yield from _outcomes(method, rows[i : i + 1], images[i : i + 1], files[i : i + 1], names[i : i + 1])


def run(
    method: Method, card: MethodCard, dataset: DatasetCard, index: pd.DataFrame, raw: Path, device: str, workers: int
) -> pd.DataFrame:
    """Scores of every row of the index: image, score, error."""
    out = pd.DataFrame({"image": index["image"], "score": math.nan, "error": ""})
    files = [raw / dataset.name / f for f in index["image"]]
    try:
        method.load(device)
    except NotRun as e:
        return out.assign(error=f"not run: {e}")
    loader = DataLoader(
        Images(files, dataset, card.input),
        batch_sampler=batches(index, card.input.batch),
        collate_fn=list,
        num_workers=workers,
        worker_init_fn=lambda _: torch.set_num_threads(1),
    )
    with tqdm(total=len(index), desc=f"{card.name} on {dataset.name}", unit="image") as bar:
        for items in loader:
            good = [(row, x) for row, x, reason in items if reason is None]
            results = [(row, None, reason) for row, _, reason in items if reason is not None]
            if good:
                rows = [row for row, _ in good]
                images = torch.stack([x for _, x in good]).to(device).float() / 255
                names = [index["image"][r] for r in rows]
                results += _outcomes(method, rows, images, [files[r] for r in rows], names)
            for row, score, reason in results:
                out.loc[row, ["score", "error"]] = [score, reason]
            bar.update(len(items))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="Score every image of a dataset with one method.")
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml")
    parser.add_argument("--index", type=Path, required=True, help="the dataset's index")
    parser.add_argument("--raw", type=Path, required=True, help="raw root")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint folder of the card's variant")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="cores to use: decoding workers and arithmetic")
    parser.add_argument("--out", type=Path, required=True, help="scores/<method>/<dataset>.csv")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    try:
        card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        index = pd.read_csv(args.index)
        start = time.perf_counter()
        method = create(card, args.checkpoint)
        out = run(method, card, dataset, index, args.raw, device, workers=args.threads - 1)
    except CardError as e:
        sys.exit(f"error: {e}")
    seconds = time.perf_counter() - start
    with atomic(args.out) as temporary:
        out.to_csv(temporary, index=False)
    provenance.record(
        args.out,
        method=card.name,
        card=card.score_digest(),
        dataset=dataset.name,
        index=sha256(args.index),
        checkpoint=sha256(args.checkpoint / WEIGHTS) if args.checkpoint else None,
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
        threads=args.threads,
        seconds=round(seconds, 3),
        images_per_second=round(len(out) / seconds, 3),
        failed=int((out["error"] != "").sum()),
    )


if __name__ == "__main__":
    main()
