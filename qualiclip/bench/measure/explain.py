"""Grad-CAM and features of one model of this suite on photos: the data of the gradcam and embeddings figures.

`python -m qualiclip.bench.measure.explain baselines/qualiclip.yaml datasets/koniq10k.yaml --index ... --out x.npz`
For Grad-CAM: images (K, H, W, 3) uint8 with a degraded right half, their cams (K, h, w) in [0, 1], scores (K,) and
degradation types (K,). For the embeddings: features (N, D) of photos under every type and level, and their type, group
and level (N,).
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from qualiclip.bench import job
from qualiclip.bench.cards.base import CardError, read_card
from qualiclip.bench.cards.dataset import DatasetCard
from qualiclip.bench.cards.method import MethodCard
from qualiclip.bench.measure import photos
from qualiclip.bench.methods.load import create
from qualiclip.config import WEIGHTS
from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade
from qualiclip.io import atomic
from qualiclip.model import QualiCLIP
from qualiclip.tensors import to_image

CAM_TYPES = ("gaussian_blur", "jpeg", "white_noise", "pixelate")  # of the right halves of the Grad-CAM photos
CAM_LEVEL = 4.0
SIDE = 384  # px, of the central square of a photo
MAX_PHOTOS = 32  # of the embeddings


def grad_cam(model: QualiCLIP, images: Tensor) -> tuple[Tensor, Tensor]:
    """(K, 3, H, W) in [0, 1] -> maps (K, h, w) in [0, 1], and scores (K,).

    Grad-CAM (Selvaraju et al., ICCV 2017) of the score: the channels of the attention pool's input weighted by their
    mean gradients and summed; negative values become 0, and each map is divided by its largest value.
    Raises CardError for an encoder without an attention pool.
    """
    pool = getattr(model.encoder, "attnpool", None)
    if pool is None:
        raise CardError("Grad-CAM is defined here on the input of an attention pool, which this encoder does not have")
    # scores, and the input of the pool
    pool_inputs: list[Tensor] = []
    handle = pool.register_forward_pre_hook(lambda _, inputs: pool_inputs.append(inputs[0]))
    try:
        scores = model(images.requires_grad_(True))
    finally:
        handle.remove()
    # one map per image
    (gradient,) = torch.autograd.grad(scores.sum(), pool_inputs[0])
    cam = F.relu((gradient.mean((2, 3), keepdim=True) * pool_inputs[0]).sum(1)).detach()
    return cam / cam.amax((1, 2), keepdim=True).clamp_min(1e-12), scores.detach()


def half_degraded(images: Tensor) -> tuple[Tensor, list[str]]:
    """Photos (N, 3, S, S) -> K photos (K, 3, S, S) with a degraded right half, one per type of CAM_TYPES; the types."""
    out = []
    for k, type_name in enumerate(CAM_TYPES):
        photo = images[k % len(images)][None]
        draw = Draw.sample(1, torch.Generator().manual_seed(k))
        degraded = degrade(photo, type_name, torch.tensor([CAM_LEVEL]), draw)
        half = photo.shape[-1] // 2
        out.append(torch.cat([photo[..., :half], degraded[..., half:]], -1))
    return torch.cat(out), list(CAM_TYPES)


@torch.inference_mode()
def embed(model: QualiCLIP, images: Tensor) -> dict[str, np.ndarray]:
    """features (M, D) of photos (N, 3, S, S) under every type and level, and their type, group and level (M,).

    The photos themselves come first, as level 0 of type and group "none".
    """
    rows = [(model.encode(images), "none", "none", 0)]
    for k, t in enumerate(tqdm(TYPES.values(), desc="embeddings", unit="type")):
        draw = Draw.sample(len(images), torch.Generator().manual_seed(k))
        for level in range(1, N_LEVELS + 1):
            out = degrade(images, t.name, torch.full((len(images),), float(level)), draw)
            rows.append((model.encode(out), t.name, t.group, level))
    features, *columns = zip(*rows, strict=True)
    arrays = {"features": torch.cat(features).float().cpu().numpy()}
    for name, values in zip(("type", "group", "level"), columns, strict=True):
        arrays[name] = np.repeat(values, len(images))
    return arrays


def main() -> None:
    names = ("method", "dataset", "--index", "--raw", "--count", "--checkpoint", "--device", "--threads", "--out")
    args = job.parser("Grad-CAM and features of one model on photos.", *names).parse_args()
    if job.absent([args.index, *([args.checkpoint / WEIGHTS] if args.checkpoint else [])], args.out):
        return
    torch.set_num_threads(args.threads)
    device = job.device(args.device)
    # the model behind the method
    card, dataset = read_card(MethodCard, args.method), read_card(DatasetCard, args.dataset)
    method = create(card, args.checkpoint)
    method.load(device)
    model = getattr(method, "model", None)
    if not isinstance(model, QualiCLIP):
        raise CardError(f"{args.method}: its encoder is not one of this suite, there is nothing to explain")
    # maps of half-degraded photos, and features of all degradations
    files = photos.choose(args.index, args.raw, dataset, min(args.count, MAX_PHOTOS))
    try:
        images = photos.stack(files, dataset, SIDE, device)
    except OSError as e:
        sys.exit(f"error: {e}")
    mixed, types = half_degraded(images)
    cams, scores = grad_cam(model, mixed)
    pictures = np.stack([np.asarray(to_image(x)) for x in mixed.detach()])
    arrays = {"images": pictures, "cams": cams.cpu().numpy(), "scores": scores.cpu().numpy(), "types": np.array(types)}
    with atomic(args.out) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays, **embed(model, images))
    job.record(args.out, card, dataset, args.index, photos=len(files))


if __name__ == "__main__":
    job.run(main)
