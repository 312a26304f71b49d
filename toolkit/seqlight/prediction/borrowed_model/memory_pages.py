"""Reuse the memory that one batch freed for the next one, instead of returning it to the system."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch

# glibc adapts to freed blocks of up to 32 MiB, headers included, and then keeps twice as much free memory.
LARGEST = 32 * 2**20 - 2**14
LEARNT = 64 * 2**20
# Free memory kept during a call; a large batch through a large model frees less. Larger blocks are not kept: an aligned
# block does not fit into a hole of its own size, so a call would take twice the memory.
KEPT = 2**30
M_TRIM_THRESHOLD = -1

_running, _lock = 0, threading.Lock()


def raise_mmap_threshold(device: torch.device) -> None:
    """Make the C library keep freed memory of up to 64 MiB, by freeing one large block, so that glibc adapts.

    glibc returns a block to the system at once if it is larger than any block freed before, and free memory at the top
    of the heap if it is more than twice that. Each batch then gets new pages, and a new page costs more than the
    convolution that fills it: with layers of 16 MiB more than half of the time, depending on luck. The block is never
    written to, so it takes no memory.

    Parameters
    ----------
    device : torch.device
        Where the work will be done. On other devices than the CPU nothing is done.

    References
    ----------
    ``M_MMAP_THRESHOLD`` in mallopt(3). Other C libraries may behave differently.
    """
    if device.type == "cpu":
        torch.empty(LARGEST, dtype=torch.uint8, device="cpu")


@contextlib.contextmanager
def keep_freed_pages(device: torch.device) -> Iterator[None]:
    """Keep up to 1 GiB of freed memory while inside; afterwards as much as after :func:`raise_mmap_threshold`.

    If the environment sets limits of malloc, these stay as they are.

    Parameters
    ----------
    device : torch.device
        Where the work will be done. On other devices than the CPU nothing is done.

    References
    ----------
    ``M_TRIM_THRESHOLD`` in mallopt(3).
    """
    global _running
    raise_mmap_threshold(device)
    mallopt = _mallopt() if device.type == "cpu" else None
    if mallopt is None:
        yield
        return
    with _lock:
        _running += 1
        mallopt(M_TRIM_THRESHOLD, KEPT)
    try:
        yield
    finally:
        with _lock:  # calls may overlap, in threads or one within the other
            _running -= 1
            if not _running:
                mallopt(M_TRIM_THRESHOLD, LEARNT)


@cache
def _mallopt() -> Any:
    """Return glibc's mallopt, or None if there is another C library, or the environment sets limits."""
    set_by_user = any(name.startswith("MALLOC_") for name in os.environ) or (
        "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    )
    if set_by_user or platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None).mallopt
