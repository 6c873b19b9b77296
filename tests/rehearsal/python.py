"""The server that does the jobs of a rehearsal: `python -m tests.rehearsal.python MIRROR SOCKET`.

It is that of qualiclip/bench/warm.py in a Python that is prepared: there is no network, the crops that metrics take
are few (weights.shrink), and arithmetic is coarse. Its numbers mean nothing.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pyiqa.archs
import torch

from qualiclip.bench import warm
from tests.rehearsal.weights import pin_clip, shrink


def unchanged(tensor: torch.Tensor, *args, **kwargs) -> torch.Tensor:
    """In place of an initialisation: weights are read from files, and random numbers before would be for nothing."""
    return tensor


def without_network() -> None:
    """Sockets of the network raise OSError from here on."""
    connect = socket.socket.connect

    def connect_here(self, address):
        if self.family != socket.AF_UNIX:
            raise OSError(f"a rehearsal has no network: {address}")
        connect(self, address)

    socket.socket.connect = connect_here


def prepare(mirror: Path) -> None:
    """Sizes and addresses of pyiqa's models, and what else makes jobs quick."""
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")  # bfloat16 inside, where the processor has it: half the time
    torch.backends.mkldnn.conv.fp32_precision = "bf16"
    pyiqa.archs._lazy_import_arch("all of them")
    shrink()
    pin_clip(mirror)
    for name in [n for n in dir(torch.nn.init) if n.endswith("_") and not n.startswith("_")]:
        setattr(torch.nn.init, name, unchanged)
    without_network()


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
    warm.serve(Path(sys.argv[2]))
