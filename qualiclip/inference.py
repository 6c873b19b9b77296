"""Fast scoring: batch norm folded into the convolutions, channels-last memory format, bfloat16 on request."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from qualiclip.model import QualiCLIP
from qualiclip.resnet import ModifiedResNet


def _fold(module: nn.Module, conv: str, norm: str) -> None:
    """Fold the attribute `norm` of a module into its attribute `conv`, in place."""
    setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
    setattr(module, norm, nn.Identity())


def fold_batch_norm(encoder: ModifiedResNet) -> ModifiedResNet:
    """Fold each batch norm into the convolution before it, in place: half of the layers, equal outputs up to rounding.

    encoder: in evaluation mode. Returns the same object.
    """
    blocks = [block for stage in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4) for block in stage]
    for module in (encoder, *blocks):
        for i in (1, 2, 3):
            _fold(module, f"conv{i}", f"bn{i}")
    for block in blocks:
        if block.downsample is not None:
            _fold(block.downsample, "0", "1")
    return encoder


class _InPrecision(nn.Module):
    """Runs a module in `dtype`: converts its weights once and its input at every call, and returns float32."""

    def __init__(self, module: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.module, self.dtype = module.to(dtype, memory_format=torch.channels_last), dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) of any type -> the module's output, float32."""
        x = x.to(self.dtype, memory_format=torch.channels_last)
        return self.module(x).to(torch.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch computes in one thread in the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _fused(encoder: nn.Module) -> nn.Module:
    """The encoder as a TorchScript graph for a CPU, which fuses each convolution with its activation and sum.

    The graph is traced once and takes images of any size. It is 1.3 times as fast as the folded encoder, measured by
    qualiclip.timing.model.
    """
    # in one thread: its many small steps would wait for the others, for a second where something else is running
    with torch.no_grad(), warnings.catch_warnings(), _one_thread():
        # torch advises torch.compile, which needs a C++ compiler and a minute at every start
        warnings.filterwarnings("ignore", ".*deprecated", FutureWarning)
        warnings.filterwarnings("ignore", ".*deprecated", DeprecationWarning)
        traced = torch.jit.trace(encoder, torch.rand(1, 3, 224, 224), check_trace=False)
        return torch.jit.optimize_for_inference(torch.jit.freeze(traced))


def folded(model: QualiCLIP) -> QualiCLIP:
    """A copy in evaluation mode, without gradients, with batch norm folded and in channels-last memory format.

    It gives the same scores up to rounding (1e-4) in half the time, and the same bits at every call.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    if isinstance(model.encoder, ModifiedResNet):
        fold_batch_norm(model.encoder)
    return model.to(memory_format=torch.channels_last)


def fast(model: QualiCLIP, dtype: torch.dtype = torch.float32, device: str = "cpu") -> QualiCLIP:
    """A copy of the model for scoring on `device` ("cpu" or "cuda").

    float32 gives the same scores up to rounding (1e-4). bfloat16 is faster where the processor supports it, and keeps
    the ranking (SRCC above 0.999).
    """
    with _one_thread():
        model = folded(model)
    encoder = model.encoder
    if device == "cpu" and dtype == torch.float32 and isinstance(encoder, ModifiedResNet):
        model.encoder = _fused(encoder)
        return model
    pool = copy.deepcopy(encoder.attnpool) if isinstance(encoder, ModifiedResNet) else None
    model.encoder = _InPrecision(encoder, dtype)
    if pool is not None:  # little work, but in bfloat16 its rounding would weigh as much as that of all convolutions
        encoder.attnpool = _InPrecision(pool, torch.float32)
    return model.to(device)
