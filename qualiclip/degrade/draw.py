"""The random parameters of a degradation, drawn once and used again.

Two crops of a pair must differ in content and level only, so that both have the same angle of motion, seed of noise
and positions of blocks. `Draw` holds these parameters; every degradation type reads those that it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def per_image(v: Tensor, x: Tensor) -> Tensor:
    """(B,) on the CPU -> (B, 1, 1, 1) on the device of x, to be combined with (B, C, H, W)."""
    return v[:, None, None, None].to(x.device, non_blocking=True)


@dataclass(frozen=True)
class Draw:
    """Random parameters of B images.

    seed: (B,) int64 on the CPU, seeds of the noise or the positions in each image.
    uniform: (B, 2) in [0, 1) on the CPU, from which angles and signs are derived.
    """

    seed: Tensor
    uniform: Tensor

    @classmethod
    def sample(cls, n: int, generator: torch.Generator | None = None) -> Draw:
        """Draw the parameters of n images from a CPU generator (None: torch's global one)."""
        return cls(torch.randint(2**62, (n,), generator=generator), torch.rand(n, 2, generator=generator))

    def repeat(self, times: int) -> Draw:
        """The parameters of B * times images: those of the first image `times` times, then those of the second, ..."""
        return Draw(self.seed.repeat_interleave(times), self.uniform.repeat_interleave(times, 0))

    def __getitem__(self, index: Tensor) -> Draw:
        """The parameters of the images with these numbers."""
        return Draw(self.seed[index], self.uniform[index])

    def sign(self) -> Tensor:
        """(B,) random signs, -1 or 1."""
        return torch.where(self.uniform[:, 0] < 0.5, -1.0, 1.0)

    def field(self, make: Callable[[torch.Generator], Tensor], device: torch.device) -> Tensor:
        """One random tensor per image, stacked: (B, ...). make: a generator on `device` -> the tensor of an image.

        It is called once per distinct seed. A CPU and a GPU draw different tensors from the same seed.
        """
        seeds, index = self.seed.unique(return_inverse=True)
        fields = torch.stack([make(torch.Generator(device).manual_seed(s)) for s in seeds.tolist()])
        return fields.index_select(0, index.to(device, non_blocking=True))

    def normal(self, x: Tensor) -> Tensor:
        """Standard normal noise with the shape, type and device of x (B, C, H, W)."""
        return self.field(lambda g: torch.randn(x.shape[1:], generator=g, device=x.device, dtype=x.dtype), x.device)
