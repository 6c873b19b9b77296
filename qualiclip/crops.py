"""Training data: random crops of pristine photos, degraded at growing levels.

Everything random comes from (seed, step, pair), so that a run can be resumed, and so that the same pairs are drawn
whatever the number of processes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from qualiclip.config import TrainConfig
from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade
from qualiclip.distributed import RANK, WORLD
from qualiclip.images import open_rgb
from qualiclip.tensors import to_tensor

VALIDATION_STEP = 2**31  # steps from here on draw validation batches; training never gets there
ATTEMPTS = 100  # photos drawn in place of one that cannot be decoded


def generator(*key: int) -> torch.Generator:
    """A CPU generator whose stream depends on the whole key, e.g. (seed, step)."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))


@lru_cache(maxsize=64)  # small sets decode once; memory stays bounded for large ones
def _decoded(path: str) -> Tensor:
    return to_tensor(open_rgb(path))


def _offsets(room: int, crop: int, layout: str, g: torch.Generator) -> tuple[int, int]:
    """Positions of the two crops along one axis that leaves `room` px to move them."""

    def uniform(low: float, high: float) -> int:
        return round(low + float(torch.rand((), generator=g)) * (high - low))

    first = uniform(0, room)
    if layout == "disjoint":  # as far apart as the image allows, up to one crop
        return (0, room) if room < crop else (first % (room - crop + 1), min(room, first % (room - crop + 1) + crop))
    reach = crop // 2  # overlapping: at least half of the side is shared
    return first, uniform(max(0, first - reach), min(room, first + reach))


@lru_cache(maxsize=2)  # the epoch at hand, and the next
def _permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The order of n photos in an epoch."""
    return torch.randperm(n, generator=generator(seed, 1, epoch))


def my_pairs(config: TrainConfig) -> range:
    """This process's share of the pairs of a step."""
    share = config.crop_pairs // WORLD
    return range(RANK * share, (RANK + 1) * share)


class CropPairs(Dataset):
    """Step k -> uint8 crops (n, V, 3, crop, crop), V = 2, or 1 with a single crop; and photos that were unreadable.

    n is the number of pairs per step, or a process's share of them.
    """

    def __init__(self, files: list[str], config: TrainConfig, shared: bool = False):
        """shared: under torchrun, this process's share of the pairs of a step. Raises ValueError for uneven shares."""
        if shared and config.crop_pairs % WORLD:
            raise ValueError(f"{config.crop_pairs} crop pairs per step cannot be shared among {WORLD} processes")
        self.files, self.config = files, config
        self.mine = my_pairs(config) if shared else range(config.crop_pairs)

    def __len__(self) -> int:
        return self.config.total_steps(len(self.files)) * self.config.accumulate

    def __getitem__(self, step: int) -> tuple[Tensor, list[str]]:
        unreadable: list[str] = []
        return torch.stack([self._pair(step, i, unreadable) for i in self.mine]), unreadable

    def _pair(self, step: int, i: int, unreadable: list[str]) -> Tensor:
        """Crops of pair i of a step. A photo that cannot be decoded is named, and replaced by another."""
        for attempt in range(ATTEMPTS):
            file = self._pick(step, i, attempt)
            try:
                image = _decoded(file)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
                unreadable.append(f"{file}: {e}")
                continue
            return self._crops(file, image, generator(self.config.seed, 0, step, i))
        raise ValueError(f"{ATTEMPTS} photos in a row cannot be decoded; the last is {unreadable[-1]}")

    def _pick(self, step: int, i: int, attempt: int) -> str:
        """The photo of pair i of a step: every epoch is a permutation; further attempts draw at random."""
        n, seed = len(self.files), self.config.seed
        if attempt:
            return self.files[int(torch.randint(n, (), generator=generator(seed, 4, step, i, attempt)))]
        position = step * self.config.crop_pairs + i
        return self.files[int(_permutation(n, seed, position // n)[position % n])]

    def _crops(self, file: str, image: Tensor, g: torch.Generator) -> Tensor:
        """(V, 3, crop, crop): the photo (3, H, W) shrunk and mirrored at random, and cut."""
        c = self.config
        side = min(image.shape[1:])
        if side < c.crop:
            raise ValueError(f"{file}: {image.shape[2]}x{image.shape[1]} px is smaller than the crop of {c.crop} px")
        factor = max(c.crop / side, 1 - float(torch.rand((), generator=g)) * (1 - c.min_downscale))
        if factor < 1:
            size = [max(c.crop, round(s * factor)) for s in image.shape[1:]]
            image = torch.nn.functional.interpolate(image[None], size=size, mode="bicubic", antialias=True)[0]
        if torch.rand((), generator=g) < 0.5:
            image = image.flip(2)
        (y1, y2), (x1, x2) = (_offsets(s - c.crop, c.crop, c.crop_layout, g) for s in image.shape[1:])
        places = [(y1, x1)] if c.crop_layout == "single" else [(y1, x1), (y2, x2)]
        return torch.stack([image[:, y : y + c.crop, x : x + c.crop] for y, x in places])


def degraded(crops: Tensor, config: TrainConfig, g: torch.Generator, shared: bool = False) -> Tensor:
    """(n, V, 3, H, W) in [0, 1] -> (n, V, L, 3, H, W): each pair under one drawn type at L levels.

    shared: the crops are this process's share of the pairs of a step; draws are made for all of them.
    """
    n, v = config.crop_pairs if shared else len(crops), crops.shape[1]
    mine = torch.tensor(my_pairs(config) if shared else range(n))
    levels = torch.linspace(config.first_level, N_LEVELS, config.levels)
    out = crops[:, :, None].repeat(1, 1, config.levels, 1, 1, 1)
    types = torch.stack([torch.randperm(len(TYPES), generator=g)[: config.types_per_pair] for _ in range(n)])[mine]
    for k in range(config.types_per_pair):
        draw = Draw.sample(n, g)[mine]
        for type_index in types[:, k].unique():
            # all pairs of one type are degraded together; the crops of a pair share their draw at every level
            members = (types[:, k] == type_index).nonzero().flatten()
            rows = members.to(crops.device, non_blocking=True)
            flat = out.index_select(0, rows).flatten(0, 2)
            repeated = draw[members].repeat(v * config.levels)
            repeated_levels = levels.repeat(len(members) * v)
            done = degrade(flat, list(TYPES)[type_index], repeated_levels, repeated, config.generator)
            out.index_copy_(0, rows, done.view(len(members), *out.shape[1:]))
    return out


def held_out(files: list[str], config: TrainConfig) -> tuple[list[str], list[str]]:
    """Split pristine files into training and validation contents, by the seed."""
    order = torch.randperm(len(files), generator=generator(config.seed, 2)).tolist()
    n = max(1, round(config.holdout * len(files)))
    return [files[i] for i in order[n:]], [files[i] for i in order[:n]]


def validation_batches(files: list[str], config: TrainConfig, device: str, n_batches: int = 8) -> list[Tensor]:
    """Fixed degraded batches of held-out contents."""
    crops = CropPairs(files, config)
    batches = []
    for b in range(n_batches):
        step = VALIDATION_STEP + b
        x = crops[step][0].to(device).float() / 255
        batches.append(degraded(x, config, generator(config.seed, 3, step)))
    return batches
