"""What the jobs of the workflow share: their arguments, how they end, and the record they leave."""

from __future__ import annotations

import argparse
import errno
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from qualiclip.bench import provenance
from qualiclip.bench.absence import leave_reason, reason_of
from qualiclip.bench.cards.base import CardError
from qualiclip.images import UnreadableImage
from qualiclip.io import DamagedFile, sha256

if TYPE_CHECKING:
    from qualiclip.bench.cards.dataset import DatasetCard
    from qualiclip.bench.cards.method import MethodCard

ARGUMENTS: dict[str, dict[str, Any]] = {
    "card": {"type": Path, "help": "the card of a table or figure"},
    "method": {"type": Path, "help": "baselines/<name>.yaml"},
    "dataset": {"type": Path, "help": "datasets/<name>.yaml"},
    "--index": {"type": Path, "required": True, "help": "the dataset's index"},
    "--raw": {"type": Path, "required": True, "help": "folder of the raw datasets"},
    "--count": {"type": int, "required": True, "help": "photos, spread evenly over the index"},
    "--checkpoint": {"type": Path, "help": "checkpoint folder of the card's variant"},
    "--fitted": {"type": Path, "help": "what the method's fit has written"},
    "--mirror": {"type": Path, "help": "folder of local files used in place of the network"},
    "--mirrored": {"nargs": "*", "default": [], "help": "files that the workflow saw in the mirror; recorded"},
    "--trust": {"action": "store_true", "help": "the method's weights may run code of their authors"},
    "--device": {"default": "auto", "choices": ["auto", "cpu", "cuda"], "help": "default: a GPU if there is one"},
    "--threads": {"type": int, "default": 1, "help": "cores to use"},
    "--out": {"type": Path, "required": True, "help": "the file to write"},
}
# those of every job that runs a method
METHOD = ("method", "--checkpoint", "--mirror", "--trust", "--device")
REMEDIES = {  # what a user can do where a file cannot be written
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space of your quota",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.EROFS: "make it writable, or choose another folder by --config results=DIR data=DIR",
}


def parser(description: str, *names: str, **changes: dict[str, Any]) -> argparse.ArgumentParser:
    """A parser with the named arguments of ARGUMENTS. changes: of an argument, by its name without dashes."""
    out = argparse.ArgumentParser(description=description)
    for name in names:
        out.add_argument(name, **(ARGUMENTS[name] | changes.get(name.lstrip("-"), {})))
    return out


def run(main: Callable[[], None]) -> None:
    """Run a job's `main`. An error that a user can mend ends it with one line, not with a traceback."""
    try:
        main()
    except (CardError, DamagedFile, UnreadableImage) as e:
        sys.exit(f"error: {e}")
    except OSError as e:
        if e.errno not in REMEDIES or e.filename is None:
            raise
        sys.exit(f"error: {e.filename}: {e.strerror}; {REMEDIES[e.errno]}, then run the same command again")


def exit_on_sigterm() -> None:
    """Turn SIGTERM into SystemExit, so that `finally` blocks save partial results."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


_held: list[FileLock] = []  # of the GPU that this process uses, until it ends


def device(wanted: str) -> str:
    """The device of this job, as `pick_device` names it. Where there are several GPUs, "cuda" becomes a free one.

    A GPU is free if no job of this user on this machine holds it; if none is, they are shared.
    """
    import torch

    from qualiclip.tensors import pick_device

    picked = pick_device(wanted)
    count = torch.cuda.device_count() if picked == "cuda" else 0
    if count < 2:
        return picked
    # hold the first free one; by its id, since a cluster may number the GPUs of each job from 0
    number = os.getpid() % count
    for i in range(count):
        name = f"qualiclip-{os.getuid()}-{torch.cuda.get_device_properties(i).uuid}.lock"
        lock = FileLock(Path(tempfile.gettempdir()) / name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _held.append(lock)
        number = i
        break
    torch.cuda.set_device(number)
    if "LOCAL_RANK" in os.environ:  # under torchrun, this is where a training looks for its GPU
        os.environ["LOCAL_RANK"] = str(number)
    return picked


def device_name(device: str) -> str:
    """The name of the GPU, or "cpu", for the record."""
    if device != "cuda":
        return device
    import torch

    return torch.cuda.get_device_name()


def absent(inputs: list[Path], *outputs: Path, **facts: Any) -> bool:
    """Whether one of the inputs could not be made. Then the reason is left in place of each output, too.

    facts: for the record, which lies beside the first output.
    """
    reason = next(filter(None, map(reason_of, inputs)), "")
    if reason:
        for out in outputs:
            leave_reason(out, reason)
        record(outputs[0], complete=False, reason=reason, mirrored=[], **facts)
        print(reason)
    return bool(reason)


def record(
    out: Path,
    method: MethodCard | None = None,
    dataset: DatasetCard | None = None,
    index: Path | None = None,
    checkpoint: Path | None = None,
    **facts: Any,
) -> None:
    """Write the sidecar of `out`: names of the cards, digests of the inputs, facts, and what the job took."""
    inputs: dict[str, Any] = {}
    if method:
        inputs |= {"method": method.name, "card": method.score_digest()}
    if dataset:
        inputs["dataset"] = dataset.name
    if index:
        inputs["index"] = sha256(index)
    if checkpoint:
        inputs["checkpoint"] = sha256(checkpoint)
    provenance.record(out, **inputs, **facts, **_cost())


def _cost() -> dict[str, float]:
    """CPU time of this process and its children, and the largest memory that one of them held."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "cpu_seconds": round(sum(u.ru_utime + u.ru_stime for u in usages), 3),
        "peak_memory_mb": round(max(u.ru_maxrss for u in usages) / 1024),
    }
