"""How much memory is free, and freed memory stays with the process: large tensors are not fetched anew page by page."""

from __future__ import annotations

import ctypes
import math
import resource
from contextlib import suppress
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h


def keep_memory() -> None:
    """Tell glibc to keep what is freed.

    It returns large buffers to the system at once, and fetches each page of them anew, which is more than half of
    NIQE's time and a tenth to a quarter of a training step on a CPU. Other C libraries have no mallopt and need none.
    """
    with suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _cgroup_free() -> float:
    """Bytes that the control group of this process, a container or a cluster's job, may still use."""
    root = Path("/sys/fs/cgroup")
    for folder, limit, used in (
        (root, "memory.max", "memory.current"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # no such file, or the limit is the word "max"
            facts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            cache = int(facts.get("inactive_file", 0))  # files that the system keeps in memory, and gives up when asked
            return int((folder / limit).read_text()) - int((folder / used).read_text()) + cache
    return math.inf


def available() -> float:
    """Bytes of memory that this process can still take: of the machine, of its container, and of its own limit."""
    free = _cgroup_free()
    with suppress(OSError):
        facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = min(free, int(facts["MemAvailable"].split()[0]) * 1024)
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        free = min(free, limit - pages * resource.getpagesize())
    return free


def shortage(size: tuple[int, int], need: float, free: float) -> str:
    """Why an image of this width and height is not scored here. need, free: bytes."""
    image = f"{size[0]}x{size[1]} px, {size[0] * size[1] / 1e6:.0f} megapixels"
    return f"{image}, would take {need / 2**30:.1f} GiB of memory, {max(0.0, free) / 2**30:.1f} GiB are free"
