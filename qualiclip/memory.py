"""Freed memory stays with the process: large tensors are then not fetched anew from the system, page by page."""

from __future__ import annotations

import ctypes
from contextlib import suppress

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
