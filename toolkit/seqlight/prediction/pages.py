"""Have memory that one batch gave back serve the next."""

from __future__ import annotations

import torch

# glibc learns from blocks of up to 32 MiB, their headers included.
LARGEST = 32 * 2**20 - 2**14


def keep_pages(device: torch.device) -> None:
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
        torch.empty(LARGEST, dtype=torch.uint8)
