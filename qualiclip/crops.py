"""Training data: random crops of pristine photos, degraded at growing levels.

Everything random comes from (seed, step, pair), so that a run can be resumed, and so that the same pairs are drawn
whatever the number of processes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from qualiclip.config import TrainConfig
from qualiclip.degrade import N_LEVELS, TYPES, Draw, degrade
from qualiclip.distributed import RANK, WORLD
from qualiclip.images import UnreadableImage, open_rgb
from qualiclip.tensors import to_tensor

VALIDATION_STEP = 2**31  # steps from here on draw validation batches; training never gets there
VALIDATION_BATCHES = 8
ATTEMPTS = 100  # photos drawn in place of one that cannot be decoded
KEPT = 64  # a set of so many photos is decoded once; of a larger one each photo comes once an epoch, and none is kept
AHEAD = 4  # batches whose codecs may work while the device is busy with an earlier one


def generator(*key: int) -> torch.Generator:
    """A CPU generator whose stream depends on the whole key, e.g. (seed, step)."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))


def _decoded(path: str) -> Tensor:
    return to_tensor(open_rgb(path))


_kept = lru_cache(maxsize=KEPT)(_decoded)


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
        self.files, self.config, self.shared = files, config, shared
        self.mine = my_pairs(config) if shared else range(config.crop_pairs)

    def __len__(self) -> int:
        return self.config.total_steps(len(self.files)) * self.config.accumulate

    def __getitem__(self, step: int) -> tuple[Tensor, list[str]]:
        unreadable: list[str] = []
        return torch.stack([self._pair(step, i, unreadable) for i in self.mine]), unreadable

    def _pair(self, step: int, i: int, unreadable: list[str]) -> Tensor:
        """Crops of pair i of a step. A photo that cannot be decoded is named, and replaced by another."""
        for attempt in range(ATTEMPTS):
            file = self.pick(step, i, attempt)
            try:
                image = (_kept if len(self.files) <= KEPT else _decoded)(file)
            except UnreadableImage as e:
                unreadable.append(str(e))
                continue
            return self._crops(file, image, generator(self.config.seed, 0, step, i))
        raise ValueError(f"{ATTEMPTS} photos in a row cannot be decoded; the last is {unreadable[-1]}")

    def pick(self, step: int, i: int, attempt: int = 0) -> str:
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


@cache
def _background(process: int) -> ThreadPoolExecutor:
    """A thread of this process that sees to codecs: one that was made before a fork would not work after it."""
    return ThreadPoolExecutor(1)


class Batch:
    """The crop pairs of a step and what degrades them. Codecs begin to work at once, in threads on the CPU.

    The first degradation of a pair needs its pixels alone, which come from the CPU: a codec does not have to wait for
    the device, nor the device for the codec.
    """

    def __init__(self, pixels: Tensor, config: TrainConfig, g: torch.Generator, shared: bool = False):
        """pixels: uint8 crops (n, V, 3, H, W) on the CPU. g: a CPU generator, for all that is drawn.

        shared: the crops are this process's share of the pairs of a step; draws are made for all of them.
        """
        self.pixels, self.config = pixels, config
        n, mine = config.crop_pairs, torch.tensor(my_pairs(config) if shared else range(config.crop_pairs))
        types = [torch.randperm(len(TYPES), generator=g)[: config.types_per_pair] for _ in range(n)]
        self.types = torch.stack(types)[mine]
        self.draws = [Draw.sample(n, g)[mine] for _ in range(config.types_per_pair)]
        self.compressed = {
            name: _background(os.getpid()).submit(self._compress, name, members)
            for name, members in self._types(0)
            if TYPES[name].group == "compression"
        }

    def _types(self, k: int) -> list[tuple[str, Tensor]]:
        """The types that come k-th in sequence, each with the numbers of its pairs; codecs are the last."""
        numbers = self.types[:, k].unique().tolist()
        types = [(list(TYPES)[t], (self.types[:, k] == t).nonzero().flatten()) for t in numbers]
        return sorted(types, key=lambda t: TYPES[t[0]].group == "compression")

    def _at_all_levels(self, pixels: Tensor) -> Tensor:
        """(m, V, 3, H, W) uint8 -> (m, V, L, 3, H, W) in [0, 1]."""
        return (pixels.float() / 255)[:, :, None].repeat(1, 1, self.config.levels, 1, 1, 1)

    def _degrade(self, images: Tensor, k: int, name: str, members: Tensor) -> Tensor:
        """(m, V, L, 3, H, W) of one type: both crops of a pair share their draw at every level."""
        pairs, views = images.shape[:2]
        levels = torch.linspace(self.config.first_level, N_LEVELS, self.config.levels)
        draw = self.draws[k][members].repeat(views * len(levels))
        flat = degrade(images.flatten(0, 2), name, levels.repeat(pairs * views), draw, self.config.generator)
        return flat.view_as(images)

    def _compress(self, name: str, members: Tensor) -> Tensor:
        """The pairs of one type through its codec, on the CPU, ready to be copied to the device."""
        images = self._degrade(self._at_all_levels(self.pixels[members]), 0, name, members)
        return images.pin_memory() if self.pixels.is_pinned() else images

    def on(self, device: str | torch.device) -> Tensor:
        """The degraded crops (n, V, L, 3, H, W) in [0, 1] on a device: each pair under its types, at L levels."""
        out = self._at_all_levels(self.pixels.to(device, non_blocking=True))
        for k in range(self.config.types_per_pair):
            for name, members in self._types(k):
                rows = members.to(device, non_blocking=True)
                if k == 0 and name in self.compressed:
                    done = self.compressed[name].result().to(device, non_blocking=True)
                else:
                    done = self._degrade(out.index_select(0, rows), k, name, members)
                out.index_copy_(0, rows, done)
        return out


def degraded_batches(
    crops: CropPairs, steps: range, device: str, workers: int = 0
) -> Iterator[tuple[Tensor, list[str]]]:
    """Of each step the degraded crops (n, V, L, 3, H, W) on a device, and photos that were unreadable.

    workers: processes that read images; 0 reads in this one. Codecs of the next batches run while the device works.
    """
    loader = DataLoader(crops, sampler=steps, batch_size=None, num_workers=workers, pin_memory=device == "cuda")
    ahead: deque[tuple[Batch, list[str]]] = deque()
    for step, (pixels, unreadable) in zip(steps, loader, strict=True):
        g = generator(crops.config.seed, 3, step, 0)
        ahead.append((Batch(pixels, crops.config, g, crops.shared), unreadable))
        if len(ahead) > AHEAD:
            batch, unreadable = ahead.popleft()
            yield batch.on(device), unreadable
    for batch, unreadable in ahead:
        yield batch.on(device), unreadable


def held_out(files: list[str], config: TrainConfig) -> tuple[list[str], list[str]]:
    """Split pristine files into training and validation contents, by the seed."""
    order = torch.randperm(len(files), generator=generator(config.seed, 2)).tolist()
    n = max(1, round(config.holdout * len(files)))
    return [files[i] for i in order[n:]], [files[i] for i in order[:n]]


def validation_batches(
    files: list[str], config: TrainConfig, device: str, n_batches: int = VALIDATION_BATCHES
) -> list[Tensor]:
    """Fixed degraded batches of held-out contents."""
    steps = range(VALIDATION_STEP, VALIDATION_STEP + n_batches)
    return [images for images, _ in degraded_batches(CropPairs(files, config), steps, device)]
