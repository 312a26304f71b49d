"""Have memory that one batch gave back serve the next."""

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

# glibc learns from blocks of up to 32 MiB, their headers included, and then keeps twice as much.
LARGEST = 32 * 2**20 - 2**14
LEARNT = 64 * 2**20
# What is kept free during a call; a large batch through a large model has less. Larger blocks are not: holes of their
# size, which an aligned block of the same size does not fit into, would double what a call takes.
KEPT = 2**30
M_TRIM_THRESHOLD = -1

_running, _lock = 0, threading.Lock()


def raise_mmap_threshold(device: torch.device) -> None:
    """Teach the memory of the C library, by an example, to keep what is freed instead of returning it to the system.

    It returns a block at once that is larger than any that was freed before, and whatever lies free in one piece
    that is larger than two such. Each batch then gets new pages, and a page that is new costs more than a convolution
    that fills it: with layers of 16 MiB, more than half of the time, or not, by luck. From here on up to 64 MiB are
    kept. Nothing is written, so nothing is used.

    Parameters
    ----------
    device : torch.device
        Where the work will be; only memory of the CPU is meant.

    References
    ----------
    ``M_MMAP_THRESHOLD`` in mallopt(3); other C libraries do as they please.
    """
    if device.type == "cpu":
        torch.empty(LARGEST, dtype=torch.uint8, device="cpu")


@contextlib.contextmanager
def keep_freed_pages(device: torch.device) -> Iterator[None]:
    """Keep what is freed inside for what comes inside, up to 1 GiB; afterwards, as after :func:`raise_mmap_threshold`.

    Whoever sets these limits in the environment knows better, and they stay.

    Parameters
    ----------
    device : torch.device
        Where the work will be; only memory of the CPU is meant.

    References
    ----------
    ``M_TRIM_THRESHOLD`` in mallopt(3).
    """
    global _running
    raise_mmap_threshold(device)
    setting = _mallopt() if device.type == "cpu" else None
    if setting is None:
        yield
        return
    with _lock:
        _running += 1
        setting(M_TRIM_THRESHOLD, KEPT)
    try:
        yield
    finally:
        with _lock:  # calls may overlap, in threads or one within the other
            _running -= 1
            if not _running:
                setting(M_TRIM_THRESHOLD, LEARNT)


@cache
def _mallopt() -> Any:
    """Return what sets the limits of glibc, or None where there is another C library, or others set them."""
    theirs = any(name.startswith("MALLOC_") for name in os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if theirs or platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None).mallopt
