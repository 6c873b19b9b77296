"""Several processes that train as one: the same draws, the same losses, the same batch-norm statistics.

Under torchrun each process degrades and encodes its share of the pairs of a step. Batch norms normalise by the whole
step, similarities are gathered before the losses, and torch's DistributedDataParallel averages the gradients, so that a
run on several GPUs is, up to rounding, the run on one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as collective
from torch import Tensor, nn

RANK, WORLD = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Connect the processes that torchrun started; nothing to do for a single one."""
    if WORLD == 1:
        yield
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def gather(x: Tensor) -> Tensor:
    """The parts (n, ...) of all processes as (WORLD n, ...), in order of rank; gradients flow back to each part."""
    return x if WORLD == 1 else torch.cat(collective.all_gather(x.contiguous()))


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, on any device (torch's own needs a GPU)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape; B may not differ between processes."""
        if not self.training:
            return super().forward(x)
        # mean and mean square over the batch of all processes, in float32 under autocast, too
        moments = torch.stack([x.float().mean((0, 2, 3)), x.float().square().mean((0, 2, 3))])
        mean, square = collective.all_reduce(moments) / WORLD
        variance = (square - mean.square()).clamp_min(0)
        with torch.no_grad():
            count = WORLD * x.numel() / x.shape[1]
            self.num_batches_tracked += 1
            momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / (count - 1), momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (x * scale[:, None, None] + shift[:, None, None]).to(x.dtype)


def share_batch_norms(module: nn.Module) -> None:
    """Turn all batch norms of a module into shared ones, in place; nothing to do for a single process."""
    for m in module.modules():
        if WORLD > 1 and type(m) is nn.BatchNorm2d:
            m.__class__ = SharedBatchNorm


def wrap(module: nn.Module) -> nn.Module:
    """The module, with gradients averaged over the processes by DistributedDataParallel."""
    if WORLD == 1:
        return module
    # statistics are equal everywhere already
    return nn.parallel.DistributedDataParallel(module, broadcast_buffers=False)
