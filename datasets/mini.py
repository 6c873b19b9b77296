"""Makers of the sets of scale mini, which need no network and have no human opinions as labels.

Each maker writes images into the folder `target`, and for a set with labels a labels.csv. The photos are sample photos
of scikit-image, scikit-learn and matplotlib; training and test contents are disjoint.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pyiqa
import torch
import torch.nn.functional as F
from kornia.filters import median_blur
from PIL import Image
from scipy.stats import rankdata
from skimage import data as skimage_data
from sklearn.datasets import load_sample_image
from torch import Tensor
from tqdm import tqdm

from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade
from qualiclip.images import open_rgb
from qualiclip.tensors import to_image, to_tensor

TRAIN_PHOTOS = (
    "astronaut",
    "brick",
    "camera",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "retina",
    "rocket",
)
TEST_PHOTOS = ("chelsea", "china", "flower", "grace_hopper", "motorcycle")


def _photo(name: str) -> Image.Image:
    """One sample photo of an installed package, in RGB."""
    if name == "grace_hopper":
        path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
        return Image.open(path).convert("RGB")
    if name in ("china", "flower"):
        return Image.fromarray(load_sample_image(f"{name}.jpg"))
    pixels = skimage_data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(skimage_data, name)()
    return Image.fromarray(pixels).convert("RGB")


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    """The image with a shorter side of at most `side` px; shrinking removes artefacts of the camera's compression."""
    scale = min(1.0, side / min(image.size))
    return image.resize([round(s * scale) for s in image.size], Image.Resampling.LANCZOS)


def dead_leaves(rng: np.random.Generator, side: int) -> Image.Image:
    """Dead leaves (Lee, Mumford and Huang, IJCV 2001): overlapping discs with the occlusion statistics of photos.

    Sizes follow a power law, and half of the discs have a texture of stripes and noise. The image is drawn at twice the
    size and shrunk to side x side px.
    """
    n = 2 * side
    canvas = np.zeros((n, n, 3), np.float32)
    y, x = np.mgrid[:n, :n].astype(np.float32)
    free = np.ones((n, n), bool)
    base = rng.uniform(0.25, 0.75) + rng.normal(0, 0.08, 3)  # photos are mostly muted
    for _ in range(4000):
        # a disc; earlier discs cover parts of it
        radius = min(n / 3, 4 * (1 - rng.random()) ** (-1 / 1.5))
        cy, cx = rng.uniform(0, n, 2)
        y0, y1 = max(0, int(cy - radius)), min(n, int(cy + radius) + 2)
        x0, x1 = max(0, int(cx - radius)), min(n, int(cx + radius) + 2)
        inside = (y[y0:y1, x0:x1] - cy) ** 2 + (x[y0:y1, x0:x1] - cx) ** 2 < radius**2
        inside &= free[y0:y1, x0:x1]
        # its colour and texture
        color = np.clip(base + rng.normal(0, 0.25) + rng.normal(0, 0.08, 3), 0.02, 0.98)
        texture = np.zeros(inside.shape, np.float32)
        if rng.random() < 0.5:
            angle, period = rng.uniform(0, math.pi), rng.uniform(4, 24)
            wave = x[y0:y1, x0:x1] * math.cos(angle) + y[y0:y1, x0:x1] * math.sin(angle)
            texture += rng.uniform(0.02, 0.2) * np.sin(2 * math.pi * wave / period)
            texture += rng.uniform(0, 0.05) * rng.standard_normal(inside.shape)
        canvas[y0:y1, x0:x1][inside] = (color + texture[..., None])[inside]
        free[y0:y1, x0:x1] &= ~inside
    # the background, where no disc lies
    canvas[free] = base
    pixels = (canvas.clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)


def pristine(target: Path, leaves: int, side: int, seed: int) -> None:
    """Training contents: the training photos, their shorter side at most `side` px, and `leaves` dead-leaves images."""
    for name in TRAIN_PHOTOS:
        _shrunk(_photo(name), side).save(target / f"{name}.png")
    for i in tqdm(range(leaves), desc="dead leaves", unit="image"):
        dead_leaves(np.random.default_rng([seed, i]), 256).save(target / f"leaves_{i:02d}.png")


def heldout(target: Path, photos: int, width: int, height: int) -> None:
    """Test contents: the central width x height px of the first `photos` test photos, which are not trained on."""
    for name in TEST_PHOTOS[:photos]:
        image = _shrunk(_photo(name), height)
        if image.width < width:
            image = _shrunk(_photo(name), round(height * width / image.width) + 1)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image.crop((left, top, left + width, top + height)).save(target / f"{name}.png")


def _pixels(folder: Path) -> dict[str, Tensor]:
    """The photos of a folder by name, (3, H, W) in [0, 1]."""
    return {p.stem: to_tensor(open_rgb(p)).float() / 255 for p in sorted(folder.glob("*.png"))}


def _write_labels(target: Path, rows: list[dict]) -> None:
    """Write labels.csv."""
    with (target / "labels.csv").open("w", newline="") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def ladder(target: Path, photos: Path, seed: int) -> None:
    """Every photo under every degradation type at levels 1 to 5. The label is the level; lower is better."""
    rows = []
    for name, photo in tqdm(_pixels(photos).items(), desc="ladder", unit="photo"):
        for k, type_name in enumerate(TYPES):
            draw = Draw.sample(1, torch.Generator().manual_seed(seed + k)).repeat(N_LEVELS)
            levels = torch.arange(1.0, N_LEVELS + 1)
            images = degrade(photo.expand(N_LEVELS, -1, -1, -1), type_name, levels, draw)
            for level, image in enumerate(images, start=1):
                file = f"{name}_{type_name}_{level}.png"
                to_image(image).save(target / file)
                rows.append(
                    {"image": file, "mos": level, "ref": name, "group": f"{name}/{type_name}", "type": type_name}
                )
    _write_labels(target, rows)


def _sequence(photo: Tensor, steps: list[tuple[str, float]], g: torch.Generator) -> Tensor:
    """A photo (3, H, W) under several degradations (type, level), one after the other."""
    x = photo[None]
    for type_name, level in steps:
        x = degrade(x, type_name, torch.tensor([level]), Draw.sample(1, g))
    return x[0]


def _camera(photo: Tensor, g: torch.Generator) -> Tensor:
    """A photo (3, H, W) with faults of a camera, in their order there: blur, exposure, noise, tone, compression."""

    def level() -> float:
        return 5 * float(torch.rand((), generator=g)) ** 1.5

    def draw_type(*type_names: str) -> str:
        return type_names[int(torch.randint(len(type_names), (), generator=g))]

    # one type of each fault, of which each is applied with a probability of 0.6
    chain = [
        draw_type("gaussian_blur", "lens_blur", "motion_blur"),
        draw_type("brighten", "darken"),
        draw_type("white_noise", "white_noise_ycbcr", "multiplicative_noise"),
        draw_type("linear_contrast", "color_saturation_hsv", "high_sharpen"),
        "jpeg",
    ]
    return _sequence(photo, [(type_name, level()) for type_name in chain if torch.rand((), generator=g) < 0.6], g)


def _restored(photo: Tensor, g: torch.Generator) -> Tensor:
    """A photo (3, H, W) with artefacts of restoration: shrunk, made noisy, enlarged, then denoised or sharpened."""
    size = photo.shape[-2:]
    factor = 1 + 3 * float(torch.rand((), generator=g))
    small = [max(16, round(s / factor)) for s in size]
    up = ("nearest", "bilinear", "bicubic")[int(torch.randint(3, (), generator=g))]
    x = F.interpolate(photo[None], size=small, mode="bicubic", antialias=True).clamp(0, 1)
    x = (x + 0.06 * float(torch.rand((), generator=g)) * torch.randn(x.shape, generator=g)).clamp(0, 1)
    x = F.interpolate(x, size=list(size), mode=up).clamp(0, 1)
    after = ("median", "sharpen", "nothing")[int(torch.randint(3, (), generator=g))]
    if after == "median":
        x = median_blur(x, (5, 5))
    elif after == "sharpen":
        x = degrade(x, "high_sharpen", 4 * torch.rand(1, generator=g), Draw.sample(1, g))
    return x[0]


FULL_REFERENCE = ("vif", "vsi", "gmsd", "nlpd")  # metrics of pyiqa that measure different things, and are quick


def _fused(ranks: np.ndarray, k: int = 60) -> np.ndarray:
    """Ranks (metrics, images), 1 is best -> (images,) labels in [0, 100], higher is better.

    By reciprocal rank fusion with the constant k (after BLISS, Ye, Kumar and Doermann, CVPR 2014).
    """
    fused = (1 / (k + ranks)).mean(0)
    return 100 * (fused - 1 / (k + ranks.shape[1])) / (1 / (k + 1) - 1 / (k + ranks.shape[1]))


def _with_fused_labels(target: Path, photos: Path, per_photo: int, seed: int, degraded: Callable) -> None:
    """Write `per_photo` degraded versions of each photo, labelled by the fusion of full-reference metrics.

    degraded: (photo (3, H, W), generator) -> degraded photo.
    """
    names, files, scores = [], [], []
    metrics = {m: pyiqa.create_metric(m, device=torch.device("cpu")) for m in FULL_REFERENCE}
    for i, (name, photo) in enumerate(tqdm(_pixels(photos).items(), desc=degraded.__name__, unit="photo")):
        # degraded versions, rounded to the 8 bits of their files
        g = torch.Generator().manual_seed(seed + i)
        images = torch.stack([degraded(photo, g) for _ in range(per_photo)])
        images = (images * 255).round() / 255
        for j, image in enumerate(images):
            files.append(f"{name}_{j:03d}.png")
            names.append(name)
            to_image(image).save(target / files[-1])
        # scores of all metrics, turned so that higher is better
        reference = photo.expand_as(images)
        scores.append([m(images, reference).flatten() * (-1 if m.lower_better else 1) for m in metrics.values()])
    # one label per image, from its ranks among all images
    values = torch.cat([torch.stack(s) for s in scores], 1).numpy()
    mos = _fused(rankdata(-values, axis=1))
    rows = [{"image": f, "mos": round(m, 6), "ref": n} for f, m, n in zip(files, mos, names, strict=True)]
    _write_labels(target, rows)


def authentic(target: Path, photos: Path, per_photo: int, seed: int) -> None:
    """Photos with several faults of a camera. Labels: fused full-reference metrics, no human opinions."""
    _with_fused_labels(target, photos, per_photo, seed, _camera)


def restoration(target: Path, photos: Path, per_photo: int, seed: int) -> None:
    """Photos with artefacts of restoration. Labels: fused full-reference metrics, no human opinions."""
    _with_fused_labels(target, photos, per_photo, seed, _restored)
