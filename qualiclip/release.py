"""Weights of a finished training into the package, under a name, with the scores that they must give everywhere.

`python -m qualiclip.release bsds500 results/scratch/checkpoints/small` writes qualiclip/weights/bsds500/: the
weights in half precision, the record of their training and expected.csv. Its model_card.md is written by hand.
`python -m qualiclip.release bsds500` compares the scores of this machine with expected.csv.
`python -m qualiclip.release bsds500 --reference FOLDER CLIVE` writes reference/CLIVE.csv: scores of the images of a
folder, without their names, which `qualiclip score --explain` compares with.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from qualiclip.config import TRAIN_RECORD, WEIGHTS
from qualiclip.inference import fast
from qualiclip.io import atomic, read_json, write_text
from qualiclip.model import QualiCLIP
from qualiclip.pretrained import SHIPPED
from qualiclip.score import find_images, score

EXPECTED = "expected.csv"  # in the folder of the weights: image, score
TOLERANCE = 1e-3  # of a score, over platforms and versions of libraries
IMAGES = {  # package -> its sample images, as they are installed
    "skimage.data": [
        *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png"),
        *("gravel.png", "moon.png", "motorcycle_left.png", "rocket.jpg"),
    ],
    "sklearn.datasets.images": ["china.jpg", "flower.jpg"],
}


def sample_scores(model: QualiCLIP) -> dict[str, float]:
    """Image -> score, of sample images of scikit-image and scikit-learn, as `qualiclip score` gives it.

    Raises ModuleNotFoundError without these packages, ValueError for an image that they no longer have.
    """
    model, scores = fast(model), {}
    for package, images in IMAGES.items():
        for image in images:
            with as_file(files(package) / image) as file:
                (row,) = score(model, [file], progress=False)
            if row.error:
                raise ValueError(f"{package}/{image}: {row.error}")
            scores[f"{package}/{image}"] = row.score
    return scores


def expected_scores(folder: Path) -> dict[str, float]:
    """Image -> score, as expected.csv of a folder of weights states it."""
    with (folder / EXPECTED).open(newline="", encoding="utf-8") as f:
        return {row["image"]: float(row["score"]) for row in csv.DictReader(f)}


def pack(checkpoint: Path, folder: Path) -> None:
    """Write weights in half precision, their record without its loss curve, and the scores expected of them.

    Raises ValueError for a weight that half precision cannot hold.
    """
    # weights and statistics; numbers of batches stay whole
    state = {k: v.half() if v.is_floating_point() else v for k, v in load_file(checkpoint / WEIGHTS).items()}
    infinite = [k for k, v in state.items() if not torch.isfinite(v).all()]
    if infinite:
        raise ValueError(f"{checkpoint}: {', '.join(infinite)} cannot be written in half precision")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / WEIGHTS) as temporary:
        save_file(state, temporary)
    record = {k: v for k, v in read_json(checkpoint / TRAIN_RECORD).items() if k != "curve"}
    write_text(folder / TRAIN_RECORD, json.dumps(record, indent=1) + "\n")
    # scores
    rows = [f"{image},{value:.6f}\n" for image, value in sample_scores(QualiCLIP.from_checkpoint(folder)).items()]
    write_text(folder / EXPECTED, "image,score\n" + "".join(rows))


def write_reference(folder: Path, images: Path, title: str) -> Path:
    """Write the scores of the images of a folder, in ascending order. Raises ValueError for one without a score."""
    model = fast(QualiCLIP.from_checkpoint(folder))
    rows = score(model, find_images([str(images)]))
    if errors := [r for r in rows if r.error]:
        raise ValueError(f"{errors[0].image}: {errors[0].error}")
    out = folder / "reference" / f"{title}.csv"
    out.parent.mkdir(exist_ok=True)
    write_text(out, "score\n" + "".join(f"{value:.4f}\n" for value in sorted(r.score for r in rows)))
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description="Put weights into the package, or compare what they give here.")
    parser.add_argument("name", help="of the weights: a folder of qualiclip/weights")
    parser.add_argument("checkpoint", nargs="?", type=Path, help="of a finished training; none: compare only")
    parser.add_argument("--reference", nargs=2, metavar=("FOLDER", "TITLE"), help="write scores to compare with")
    args = parser.parse_args()
    folder = SHIPPED / args.name
    if args.reference:
        print(write_reference(folder, *args.reference))
        return 0
    if args.checkpoint:
        pack(args.checkpoint, folder)
        print(f"{folder / WEIGHTS}: {(folder / WEIGHTS).stat().st_size / 1e6:.1f} MB")
    # scores of the weights as they were trained, or as they ship
    expected, here = expected_scores(folder), sample_scores(QualiCLIP.from_checkpoint(args.checkpoint or folder))
    for image, value in here.items():
        print(f"{image:40}  expected {expected[image]:.4f}  here {value:.4f}")
    difference = max(abs(expected[image] - value) for image, value in here.items())
    print(f"largest difference {difference:.1e}, of {TOLERANCE} allowed")
    return int(difference > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
