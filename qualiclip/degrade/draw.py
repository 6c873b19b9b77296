"""The random part of a degradation, drawn once and replayed.

A pair of crops must differ in content and level only: the motion angle, the noise seed, the block
positions are those of the pair. `Draw` is that record. Every type reads what it needs from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def per_image(v: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1), to broadcast one value per image over (B, C, H, W)."""
    return v[:, None, None, None]


@dataclass(frozen=True)
class Draw:
    """Random parameters of B images.

    seed: (B,) int64 on the CPU, the seed of a per-image noise field or of positions.
    uniform: (B, 2) in [0, 1), angles and signs.
    """

    seed: Tensor
    uniform: Tensor

    @classmethod
    def sample(cls, n: int, generator: torch.Generator | None = None) -> Draw:
        """Draw for n images from a CPU generator (the global one if None)."""
        return cls(torch.randint(2**62, (n,), generator=generator), torch.rand(n, 2, generator=generator))

    def repeat(self, times: int) -> Draw:
        """Each image's parameters `times` times in a row: (n,) -> (n * times,)."""
        return Draw(self.seed.repeat_interleave(times), self.uniform.repeat_interleave(times, 0))

    def __getitem__(self, index: Tensor) -> Draw:
        return Draw(self.seed[index.cpu()], self.uniform[index.to(self.uniform.device)])

    def to(self, device: torch.device | str) -> Draw:
        """Move what the arithmetic needs; seeds stay on the CPU, where generators are seeded."""
        return Draw(self.seed, self.uniform.to(device))

    def sign(self) -> Tensor:
        """(B,) of -1 or +1."""
        return torch.where(self.uniform[:, 0] < 0.5, -1.0, 1.0)

    def field(self, make: Callable[[torch.Generator], Tensor], device: torch.device) -> Tensor:
        """Stack one random tensor per image, made once per distinct seed by `make(generator)`.

        The generator lives on `device`: the same seed gives the same pixels on the same kind of
        device (a CPU and a GPU draw different noise from one seed).
        """
        seeds, which = self.seed.unique(return_inverse=True)
        fields = [make(torch.Generator(device).manual_seed(int(s))) for s in seeds]
        return torch.stack(fields)[which.to(device)]

    def normal(self, x: Tensor) -> Tensor:
        """Standard normal noise shaped like x (B, C, H, W)."""
        return self.field(lambda g: torch.randn(x.shape[1:], generator=g, device=x.device, dtype=x.dtype), x.device)
