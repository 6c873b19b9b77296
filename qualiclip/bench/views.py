"""How a model of this suite sees photos: the data behind the gradcam and the embeddings figures.

`python -m qualiclip.bench.views baselines/qualiclip.yaml datasets/koniq10k.yaml --index ... --out views/qualiclip.npz`
images (K, H, W, 3) uint8 with the right half degraded, cams (K, h, w) in [0, 1], scores (K,), kinds (K,);
features (N, D) of photos under every type and level, with type, group and level (N,).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from qualiclip.bench import photos, provenance
from qualiclip.bench.card import CardError, read_card
from qualiclip.bench.cards import DatasetCard, MethodCard
from qualiclip.bench.files import atomic, command, sha256
from qualiclip.bench.methods import create
from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade
from qualiclip.model import QualiCLIP
from qualiclip.tensors import pick_device, to_image

SHOWN = ("gaussian_blur", "jpeg", "white_noise", "pixelate")  # right halves of the Grad-CAM photos
LEVEL = 4.0
SIDE, MOST = 384, 32  # px of a photo; photos behind the embeddings


def grad_cam(model: QualiCLIP, images: Tensor) -> tuple[Tensor, Tensor]:
    """(K, 3, H, W) -> maps (K, h, w) in [0, 1] and scores (K,).

    Grad-CAM (Selvaraju et al., ICCV 2017) of the score: the input of the attention pool, its channels
    weighted by their mean gradient, the positive part, divided by its largest value.
    """
    kept: list[Tensor] = []
    pool = getattr(model.encoder, "attnpool", None)
    if pool is None:
        raise CardError("Grad-CAM is defined here on the input of an attention pool, which this encoder has not")
    handle = pool.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    try:
        scores = model(images.requires_grad_(True))
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(scores.sum(), kept[0])
    cam = F.relu((gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1)).detach()
    return cam / cam.amax((1, 2), keepdim=True).clamp_min(1e-12), scores.detach()


def half_degraded(images: Tensor) -> tuple[Tensor, list[str]]:
    """Photos (N, 3, S, S) -> one of each type of SHOWN, its right half degraded; and the types."""
    out = []
    for k, kind in enumerate(SHOWN):
        photo = images[k % len(images)][None]
        draw = Draw.sample(1, torch.Generator().manual_seed(k))
        worse = degrade(photo, kind, torch.tensor([LEVEL]), draw)
        half = photo.shape[-1] // 2
        out.append(torch.cat([photo[..., :half], worse[..., half:]], -1))
    return torch.cat(out), list(SHOWN)


@torch.inference_mode()
def embed(model: QualiCLIP, images: Tensor) -> dict[str, np.ndarray]:
    """Features of photos (N, 3, S, S) under every type and level; level 0 once."""
    rows = [(model.encode(images), "none", "none", 0)]
    for k, t in enumerate(tqdm(TYPES.values(), desc="embeddings", unit="type")):
        draw = Draw.sample(len(images), torch.Generator().manual_seed(k))
        for level in range(1, N_LEVELS + 1):
            out = degrade(images, t.name, torch.full((len(images),), float(level)), draw)
            rows.append((model.encode(out), t.name, t.group, level))
    names = ("type", "group", "level")
    said = {n: np.repeat([r[i + 1] for r in rows], len(images)) for i, n in enumerate(names)}
    return {"features": torch.cat([r[0] for r in rows]).float().cpu().numpy(), **said}


def main() -> None:
    parser = argparse.ArgumentParser(description="Grad-CAM and features of one model on photos.")
    parser.add_argument("method", type=Path, help="baselines/<name>.yaml")
    parser.add_argument("dataset", type=Path, help="datasets/<name>.yaml of the photos")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--raw", type=Path, required=True, help="raw root")
    parser.add_argument("--count", type=int, required=True, help="photos, spread evenly over the index")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint folder of the card's variant")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    try:
        card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
        method = create(card, args.checkpoint)
        method.load(device)
        model = getattr(method, "model", None)
        if not isinstance(model, QualiCLIP):
            raise CardError(f"{args.method}: its encoder is not one of this suite, there is nothing to look into")
        files = photos.choose(args.index, args.raw, dataset, min(args.count, MOST))
        images = photos.stack(files, dataset, SIDE, device)
        mixed, kinds = half_degraded(images)
        cams, scores = grad_cam(model, mixed)
    except (CardError, OSError) as e:
        sys.exit(f"error: {e}")
    shown = np.stack([np.asarray(to_image(x)) for x in mixed.detach()])
    arrays = {"images": shown, "cams": cams.cpu().numpy(), "scores": scores.cpu().numpy(), "kinds": np.array(kinds)}
    with atomic(args.out) as temporary:
        np.savez_compressed(temporary, **arrays, **embed(model, images))
    provenance.record(args.out, method=card.name, dataset=dataset.name, photos=len(files), index=sha256(args.index))


if __name__ == "__main__":
    command(main)
