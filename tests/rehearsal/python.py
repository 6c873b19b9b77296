"""The prepared Python of a rehearsal: `python -m tests.rehearsal.python MIRROR SOCKET`.

There is no network, the crops that metrics take are few (weights.shrink), and arithmetic is coarse: its numbers mean
nothing.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from tests.support import warm_python


def keep(tensor, *args, **kwargs):
    return tensor


def without_network() -> None:
    connect = socket.socket.connect

    def near(self, address):
        if self.family != socket.AF_UNIX:
            raise OSError(f"a rehearsal has no network: {address}")
        connect(self, address)

    socket.socket.connect = near


def prepare(mirror: Path) -> None:
    """Libraries; sizes and addresses of pyiqa's models."""
    warm_python.libraries()
    import pyiqa.archs
    import torch

    from tests.rehearsal.weights import pin_clip, shrink

    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")  # bfloat16 inside, where the processor has it: half the time
    torch.backends.mkldnn.conv.fp32_precision = "bf16"
    pyiqa.archs._lazy_import_arch("all of them")
    shrink()
    pin_clip(mirror)
    for name in [n for n in dir(torch.nn.init) if n.endswith("_") and not n.startswith("_")]:
        setattr(
            torch.nn.init, name, keep
        )  # weights are read from files: seconds of random numbers before are for nothing
    for name in [n for n in sys.modules if n.split(".")[0] in ("qualiclip", "tests")]:
        del sys.modules[name]
    without_network()


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
    warm_python.serve(Path(sys.argv[2]))
