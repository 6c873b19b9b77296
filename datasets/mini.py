"""Makers of the `mini` sets: no network, no human opinion.

Each maker writes images and, unless the set is pristine, a labels.csv into `target`. The photos are
the sample photos of scikit-image, scikit-learn and matplotlib; training and test contents are disjoint.
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
    """Shorter side at most `side` px: shrinking removes what is left of the camera's compression."""
    scale = min(1.0, side / min(image.size))
    return image.resize([round(s * scale) for s in image.size], Image.Resampling.LANCZOS)


def dead_leaves(rng: np.random.Generator, side: int) -> Image.Image:
    """Discs of a power-law size falling on each other: the occlusion statistics of photos (Lee et al. 2001).

    Half of the discs carry a stripe or noise texture. Drawn at twice the size and shrunk.
    """
    n = 2 * side
    canvas = np.zeros((n, n, 3), np.float32)
    y, x = np.mgrid[:n, :n].astype(np.float32)
    free = np.ones((n, n), bool)
    base = rng.uniform(0.25, 0.75) + rng.normal(0, 0.08, 3)  # photos are mostly muted
    for _ in range(4000):
        radius = min(n / 3, 4 * (1 - rng.random()) ** (-1 / 1.5))
        cy, cx = rng.uniform(0, n, 2)
        y0, y1 = max(0, int(cy - radius)), min(n, int(cy + radius) + 2)
        x0, x1 = max(0, int(cx - radius)), min(n, int(cx + radius) + 2)
        inside = (y[y0:y1, x0:x1] - cy) ** 2 + (x[y0:y1, x0:x1] - cx) ** 2 < radius**2
        inside &= free[y0:y1, x0:x1]  # later discs lie below earlier ones
        color = np.clip(base + rng.normal(0, 0.25) + rng.normal(0, 0.08, 3), 0.02, 0.98)
        texture = np.zeros(inside.shape, np.float32)
        if rng.random() < 0.5:
            angle, period = rng.uniform(0, math.pi), rng.uniform(4, 24)
            wave = x[y0:y1, x0:x1] * math.cos(angle) + y[y0:y1, x0:x1] * math.sin(angle)
            texture += rng.uniform(0.02, 0.2) * np.sin(2 * math.pi * wave / period)
            texture += rng.uniform(0, 0.05) * rng.standard_normal(inside.shape)
        canvas[y0:y1, x0:x1][inside] = (color + texture[..., None])[inside]
        free[y0:y1, x0:x1] &= ~inside
    canvas[free] = base
    pixels = (canvas.clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)


def pristine(target: Path, leaves: int, side: int, seed: int) -> None:
    """Training contents: the training photos and seeded dead leaves."""
    for name in TRAIN_PHOTOS:
        _shrunk(_photo(name), side).save(target / f"{name}.png")
    for i in tqdm(range(leaves), desc="dead leaves", unit="image"):
        dead_leaves(np.random.default_rng([seed, i]), 256).save(target / f"leaves_{i:02d}.png")


def heldout(target: Path, photos: int, width: int, height: int) -> None:
    """Test contents: the middle of the test photos, never seen in training."""
    for name in TEST_PHOTOS[:photos]:
        image = _shrunk(_photo(name), height)
        if image.width < width:
            image = _shrunk(_photo(name), round(height * width / image.width) + 1)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image.crop((left, top, left + width, top + height)).save(target / f"{name}.png")


def _pixels(folder: Path) -> dict[str, Tensor]:
    """Held-out photos by name, (3, H, W) in [0, 1]."""
    return {p.stem: to_tensor(open_rgb(p)).float() / 255 for p in sorted(folder.glob("*.png"))}


def _write(target: Path, rows: list[dict]) -> None:
    with (target / "labels.csv").open("w", newline="") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def ladder(target: Path, photos: Path, seed: int) -> None:
    """Every photo under every type at levels 1 to 5. Label: severity, exactly the level (lower is better)."""
    rows = []
    for name, photo in tqdm(_pixels(photos).items(), desc="ladder", unit="photo"):
        for k, kind in enumerate(TYPES):
            draw = Draw.sample(1, torch.Generator().manual_seed(seed + k)).repeat(N_LEVELS)
            levels = torch.arange(1.0, N_LEVELS + 1)
            images = degrade(photo.expand(N_LEVELS, -1, -1, -1), kind, levels, draw)
            for level, image in enumerate(images, start=1):
                file = f"{name}_{kind}_{level}.png"
                to_image(image).save(target / file)
                rows.append({"image": file, "mos": level, "ref": name, "group": f"{name}/{kind}"})
    _write(target, rows)


def _sequence(photo: Tensor, steps: list[tuple[str, float]], g: torch.Generator) -> Tensor:
    """Apply (type, level) one after the other to one photo."""
    x = photo[None]
    for kind, level in steps:
        x = degrade(x, kind, torch.tensor([level]), Draw.sample(1, g))
    return x[0]


def _camera(photo: Tensor, g: torch.Generator) -> Tensor:
    """What goes wrong in a camera, in its order: blur, exposure, noise, tone, compression."""

    def level() -> float:
        return 5 * float(torch.rand((), generator=g)) ** 1.5

    def one(*kinds: str) -> str:
        return kinds[int(torch.randint(len(kinds), (), generator=g))]

    chain = [
        one("gaussian_blur", "lens_blur", "motion_blur"),
        one("brighten", "darken"),
        one("white_noise", "white_noise_ycbcr", "multiplicative_noise"),
        one("linear_contrast", "color_saturation_hsv", "high_sharpen"),
        "jpeg",
    ]
    return _sequence(photo, [(kind, level()) for kind in chain if torch.rand((), generator=g) < 0.6], g)


def _restored(photo: Tensor, g: torch.Generator) -> Tensor:
    """What restoration leaves behind: down- and upscaling, then denoising or sharpening."""
    side = photo.shape[-2:]
    factor = 1 + 3 * float(torch.rand((), generator=g))
    small = [max(16, round(s / factor)) for s in side]
    up = ("nearest", "bilinear", "bicubic")[int(torch.randint(3, (), generator=g))]
    x = F.interpolate(photo[None], size=small, mode="bicubic", antialias=True).clamp(0, 1)
    x = (x + 0.06 * float(torch.rand((), generator=g)) * torch.randn(x.shape, generator=g)).clamp(0, 1)
    x = F.interpolate(x, size=list(side), mode=up).clamp(0, 1)
    after = ("median", "sharpen", "nothing")[int(torch.randint(3, (), generator=g))]
    if after == "median":
        x = median_blur(x, (5, 5))
    elif after == "sharpen":
        x = degrade(x, "high_sharpen", 4 * torch.rand(1, generator=g), Draw.sample(1, g))
    return x[0]


FULL_REFERENCE = ("vif", "vsi", "gmsd", "nlpd")  # four that differ in what they look at, and are quick


def _fused(ranks: np.ndarray, k: int = 60) -> np.ndarray:
    """Reciprocal rank fusion of (metrics, images) ranks, 1 best, scaled to 0..100 (after BLISS, Ye et al. 2014)."""
    fused = (1 / (k + ranks)).mean(0)
    return 100 * (fused - 1 / (k + ranks.shape[1])) / (1 / (k + 1) - 1 / (k + ranks.shape[1]))


def _with_fused_labels(target: Path, photos: Path, per_photo: int, seed: int, worsen: Callable) -> None:
    """Write `per_photo` worsened versions of each photo, labelled by the fusion of full-reference metrics."""
    names, files, scores = [], [], []
    metrics = {m: pyiqa.create_metric(m, device=torch.device("cpu")) for m in FULL_REFERENCE}
    for i, (name, photo) in enumerate(tqdm(_pixels(photos).items(), desc=worsen.__name__, unit="photo")):
        g = torch.Generator().manual_seed(seed + i)
        images = torch.stack([worsen(photo, g) for _ in range(per_photo)])
        images = (images * 255).round() / 255
        for j, image in enumerate(images):
            files.append(f"{name}_{j:03d}.png")
            names.append(name)
            to_image(image).save(target / files[-1])
        reference = photo.expand_as(images)
        scores.append([m(images, reference).flatten() * (-1 if m.lower_better else 1) for m in metrics.values()])
    values = torch.cat([torch.stack(s) for s in scores], 1).numpy()
    mos = _fused(rankdata(-values, axis=1))
    _write(target, [{"image": f, "mos": round(m, 6), "ref": n} for f, m, n in zip(files, mos, names, strict=True)])


def authentic(target: Path, photos: Path, per_photo: int, seed: int) -> None:
    """Camera-like mixtures of degradations. Label: fused full-reference metrics, no human opinion."""
    _with_fused_labels(target, photos, per_photo, seed, _camera)


def restoration(target: Path, photos: Path, per_photo: int, seed: int) -> None:
    """Down/upscaled, denoised, sharpened photos. Label: fused full-reference metrics, no human opinion."""
    _with_fused_labels(target, photos, per_photo, seed, _restored)
