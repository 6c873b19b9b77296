"""Kernel launches and synchronisations of the degradations of a training step: `python -m qualiclip.timing.launches`.

Counted on a CPU by a dispatch mode, for the paper's batch: what a GPU would have to launch, and how often the host
would have to wait for it. Operations on small tensors are left out: they are done on the CPU in any case.
"""

from __future__ import annotations

import argparse
from collections import Counter
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from qualiclip.config import TrainConfig
from qualiclip.crops import Batch, generator

# views and allocations, which launch nothing
# fmt: off
FREE = {
    "alias", "as_strided", "detach", "empty", "empty_like", "empty_strided", "expand", "new_empty",
    "new_empty_strided", "permute", "resolve_conj", "resolve_neg", "select", "slice", "split",
    "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze", "view", "_unsafe_view",
    "_reshape_alias", "view_as_real", "lift_fresh",
}
# fmt: on
WAITS = {"_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "equal", "item", "masked_select"}


class Launches(TorchDispatchMode):
    """Counts the operations on tensors of at least `least` values."""

    def __init__(self, least: int = 0):
        super().__init__()
        self.least = least
        self.launches: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        sizes = [t.numel() for t in torch.utils._pytree.tree_leaves((args, out)) if isinstance(t, torch.Tensor)]
        if max(sizes, default=0) >= self.least and name not in FREE:
            self.launches[name] += 1
            if name in WAITS:
                self.waits[name] += 1
        return out


def count(config: TrainConfig, step: int, least: int) -> Launches:
    """Launches of one step on noise; a GPU does all images of a type at once, not a few at a time as a CPU does."""
    views = 1 if config.crop_layout == "single" else 2
    crops = torch.randint(256, (config.crop_pairs, views, 3, config.crop, config.crop), dtype=torch.uint8)
    with patch("qualiclip.degrade.CPU_CHUNK", 2**62), Launches(least) as launches:
        Batch(crops, config, generator(0, 3, step, 0)).on("cpu")
    return launches


def main() -> None:
    parser = argparse.ArgumentParser(description="Launches and waits of the degradations of a training step.")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--crop", type=int, default=TrainConfig().crop, help="px")
    parser.add_argument("--least", type=int, default=1000, help="values of a tensor that counts")
    args = parser.parse_args()
    config = TrainConfig(crop=args.crop)
    runs = [count(config, step, args.least) for step in range(args.steps)]
    for title, counters in (("launches", [r.launches for r in runs]), ("waits", [r.waits for r in runs])):
        total = sum(counters, Counter())
        print(f"{title} per step: {sum(total.values()) / len(runs):.0f}; {dict(total.most_common(12))}")


if __name__ == "__main__":
    main()
