"""A device that is not the CPU, simulated on the CPU: tensors of the two refuse to be mixed.

Its tensors hold CPU data, and call their device "meta", the one name that torch's autograd takes without hardware.
As on a GPU, a tensor of the CPU may join an operation of the device only if it has no dimension, and goes from one to
the other by explicit copies alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = "meta"
COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class DeviceTensor(torch.Tensor):
    """A tensor of the simulated device."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> DeviceTensor:
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        t = torch.Tensor._make_wrapper_subclass(cls, held.size(), **layout, dtype=held.dtype, device=DEVICE)
        t.held = held
        return t

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})

    def __repr__(self) -> str:
        return f"DeviceTensor({self.held})"


class DeviceGenerator(torch.Generator):
    """A generator that remembers its device."""

    on: str

    def __new__(cls, device: Any = "cpu") -> DeviceGenerator:
        g = super().__new__(cls)
        g.on = torch.device(device).type
        return g


def on_cpu(x: Any) -> Any:
    return x.held if isinstance(x, DeviceTensor) else x


def computed(func, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The result of an operation, on the device of its tensors. Raises RuntimeError where devices are mixed."""
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    here = any(isinstance(t, DeviceTensor) for t in tensors)
    target = torch.device(kwargs["device"]).type if kwargs.get("device") is not None else None
    strangers = [t for t in tensors if not isinstance(t, DeviceTensor) and t.dim()]
    if here and strangers and func not in COPIES:
        raise RuntimeError(f"{func}: a tensor {tuple(strangers[0].shape)} of the CPU meets one of the device")
    # compute on the CPU
    inner_kwargs = tree_map(on_cpu, kwargs) | ({"device": torch.device("cpu")} if target else {})
    out = func(*tree_map(on_cpu, args), **inner_kwargs)
    # where the result lies
    if func is torch.ops.aten.copy_.default:
        here = isinstance(args[0], DeviceTensor)
    if (target or (DEVICE if here else "cpu")) != DEVICE:
        return out
    wrapped = tree_map(lambda t: DeviceTensor(t) if isinstance(t, torch.Tensor) else t, out)
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


class _Calls(TorchFunctionMode):
    """What operations no longer know: generators, and `torch.tensor`.

    Numbers of one device are not drawn by a generator of the other.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu").type == DEVICE:
            return func(*args, **kwargs | {"device": "cpu"}).to(DEVICE)
        generator = kwargs.get("generator")
        if isinstance(generator, DeviceGenerator):
            tensors = [t.device for t in tree_leaves(args) if isinstance(t, torch.Tensor)]
            target = torch.device(kwargs.get("device") or (tensors or ["cpu"])[0]).type
            if generator.on != target:
                raise RuntimeError(f"{func.__name__}: a generator on {generator.on} cannot draw for {target}")
        return func(*args, **kwargs)


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})


@contextmanager
def other_device() -> Iterator[str]:
    """Simulate the device; yields its name."""
    with pytest.MonkeyPatch.context() as m, _Operations(), _Calls():
        m.setattr(torch, "Generator", DeviceGenerator)
        m.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which does not know the device
        yield DEVICE
