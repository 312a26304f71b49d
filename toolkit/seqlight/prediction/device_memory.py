"""The memory of a device: how much is free, how much was used at most, and errors that say that it ran out."""

from __future__ import annotations

import contextlib
import gc
import re
import textwrap
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch

from seqlight.errors import OutOfMemory

# What PyTorch and the libraries below it say when memory runs out; only PyTorch itself has a class of error for that.
OUT_OF_MEMORY = re.compile(r"out of memory|STATUS_ALLOC_FAILED|DefaultCPUAllocator")
# What they say of a batch that is too large for a kernel, which counts in 32 bits, or that has no room for workspace.
TOO_LARGE = re.compile(r"CUDNN_STATUS_NOT_SUPPORTED|32-bit index|32BitIndexMath|int32 overflow|INT_MAX")


class TorchOutOfMemory(OutOfMemory, torch.OutOfMemoryError):
    """As OutOfMemory, for callers that expect PyTorch's error."""


@dataclass(frozen=True)
class MemoryReading:
    """What a device and the allocator of PyTorch say of its memory, in bytes.

    Attributes
    ----------
    free : int
        What can still be allocated, with what the allocator holds and nobody uses.
    live : int
        What tensors hold now.
    peak : int
        The most that they have held at once, or an upper bound of it.
    allocated : int, optional
        The sum of all allocations so far, freed or not.
    """

    free: int
    live: int
    peak: int
    allocated: int | None = None

    def used_until(self, later: MemoryReading) -> int:
        """Return the most that was held in addition between this reading and a later one, or an upper bound of it.

        The peak is the user's, too, so it is never reset: where an earlier one was higher, it hides that of the time
        between the readings, and the bound is loose.

        Examples
        --------
        >>> MemoryReading(free=90, live=10, peak=12).used_until(MemoryReading(free=85, live=15, peak=60))
        50
        >>> before = MemoryReading(free=90, live=10, peak=500, allocated=1000)
        >>> before.used_until(MemoryReading(free=85, live=15, peak=500, allocated=1080))
        80
        """
        found = max(0, later.peak - self.live)
        if self.allocated is None or later.allocated is None:
            return found
        return min(found, later.allocated - self.allocated)


def read_memory(device: torch.device) -> MemoryReading | None:
    """Return what is known of the memory of a device, or None if it does not report it, as the CPU does not."""
    if device.type in ("cpu", "meta"):
        return None
    module: Any = getattr(torch, device.type, None)
    if device.type == "mps":
        # There is only one, so its functions take none. It counts no peak, but what the driver gave was once in use.
        live, given = module.current_allocated_memory(), module.driver_allocated_memory()
        return MemoryReading(max(0, module.recommended_max_memory() - live), live, given)
    if not (hasattr(module, "mem_get_info") and hasattr(module, "memory_stats")):
        return None
    try:
        free, total = module.mem_get_info(device)
    except RuntimeError:  # some devices have this function, and a driver that does not answer
        return None
    # Of an allocator that has not given out anything yet this is empty.
    stats = defaultdict(int, module.memory_stats(device))
    live, reserved = stats["allocated_bytes.all.current"], stats["reserved_bytes.all.current"]
    free = min(free + max(0, reserved - live), _share_of_process(module, device, total) - live)
    peak, allocated = stats["allocated_bytes.all.peak"], stats.get("allocated_bytes.all.allocated")
    return MemoryReading(max(0, free), live, peak, allocated)


def release_memory(device: torch.device) -> None:
    """Give back what nobody uses, after memory ran out: tensors in reference cycles, and what the allocator holds."""
    gc.collect()
    module: Any = getattr(torch, device.type, None)
    if hasattr(module, "empty_cache"):
        module.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on whatever device.

    Examples
    --------
    >>> is_out_of_memory(torch.OutOfMemoryError("...")), is_out_of_memory(RuntimeError("MPS backend out of memory"))
    (True, True)
    >>> is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    False
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None


def is_too_large(error: BaseException) -> bool:
    """Return whether an error may be about the size of a batch alone, so that a smaller one may do."""
    return is_out_of_memory(error) or (isinstance(error, RuntimeError) and TOO_LARGE.search(str(error)) is not None)


def out_of_memory_error(device: torch.device, what: str, reason: str, remedy: str) -> TorchOutOfMemory:
    """Return the error for something that does not fit into the memory of a device.

    Examples
    --------
    >>> str(out_of_memory_error(torch.device("cuda", 0), "this", "out of memory", "use less"))
    "cuda:0 has no room for this (out of memory): expected more memory; use less, or another device, such as 'cpu'."
    """
    other = "" if device.type == "cpu" else ", such as 'cpu'"
    return TorchOutOfMemory(
        f"{device} has no room for {what} ({reason}): expected more memory; {remedy}, or another device{other}."
    )


def shorten_reason(error: BaseException) -> str:
    """Return the beginning of what an error says, on one line; PyTorch tells much when memory runs out."""
    return textwrap.shorten(str(error), 160, placeholder=" ...")


def _share_of_process(module: Any, device: torch.device, total: int) -> int:
    """Return the bytes that this process may take: all, unless the user set a fraction."""
    with contextlib.suppress(AttributeError, RuntimeError):
        return int(module.get_per_process_memory_fraction(device) * total)
    return int(total)
