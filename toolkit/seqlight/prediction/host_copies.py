"""Copies of tensors on the CPU that arrive while their device goes on computing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

# The most bytes that are packed and pinned at a time: PyTorch keeps pinned memory, which no other program can use then.
MOST_BYTES = 2**28


class HostCopy:
    """A few tensors on their way from a device to the CPU: one copy, which is made when the device gets to it.

    The tensors may be changed or freed afterwards. On the CPU nothing is copied.

    Parameters
    ----------
    tensors : sequence of torch.Tensor
        On one device, or on several.

    Examples
    --------
    >>> import torch
    >>> HostCopy([torch.arange(2), torch.ones(1)]).wait()
    [tensor([0, 1]), tensor([1.])]
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._places = [one.device for one in tensors]
        self._here = [one.detach() for one in tensors if one.is_cpu]
        there = {place: None for place in self._places if place.type != "cpu"}
        self._copies = {place: _copy_from([one for one in tensors if one.device == place]) for place in there}

    @property
    def is_here(self) -> bool:
        """Whether some tensors are those of the CPU, which may change as soon as the model runs again."""
        return bool(self._here) or not self._copies

    def wait(self) -> list[Tensor]:
        """Return the tensors on the CPU, once, after waiting for the device to get that far."""
        arrived = {place: iter(copy.wait()) for place, copy in self._copies.items()}
        here, self._here, self._copies = iter(self._here), [], {}
        return [next(arrived.get(place, here)) for place in self._places]


def _copy_from(tensors: Sequence[Tensor]) -> _PackedCopy | _LargeCopy:
    """Return a copy of tensors of one device that is on its way, or complete if they are large."""
    tensors = [one.detach() for one in tensors]
    return _LargeCopy(tensors) if sum(one.nbytes for one in tensors) > MOST_BYTES else _PackedCopy(tensors)


class _LargeCopy:
    """Copies of tensors, which have been waited for."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._found = [one.cpu() for one in tensors]

    def wait(self) -> list[Tensor]:
        return self._found


class _PackedCopy:
    """A copy of tensors of one device, as bytes, one after the other."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        # The largest numbers first, so that each begins at a multiple of its size.
        self._order = sorted(range(len(tensors)), key=lambda i: -tensors[i].itemsize)
        self._kinds = [(tensors[i].dtype, tensors[i].shape) for i in self._order]
        parts = [_to_bytes(tensors[i]) for i in self._order]
        self._sizes, device = [len(one) for one in parts], tensors[0].device
        whole = torch.cat(parts) if len(parts) > 1 else parts[0]
        self._event: torch.Event | None = None
        if can_pin(device.type):
            target = torch.empty(len(whole), dtype=torch.uint8, device="cpu", pin_memory=True)
            self._bytes = target.copy_(whole, non_blocking=True)
            self._event = torch.Event(device)
            self._event.record(torch.accelerator.current_stream(device))
        else:  # a model may return the same memory for the next batch
            self._bytes = whole if len(parts) > 1 else whole.clone()

    def wait(self) -> list[Tensor]:
        if self._event is not None:
            self._event.synchronize()
        found: dict[int, Tensor] = {}
        parts = torch.split(self._bytes.cpu(), self._sizes)
        for i, part, (dtype, shape) in zip(self._order, parts, self._kinds, strict=True):
            found[i] = part.view(dtype).view(shape)
        return [found[i] for i in range(len(found))]


def overlap(copies: Iterable[tuple[HostCopy, T]]) -> Iterator[tuple[list[Tensor], T]]:
    """Yield the tensors of each copy once the next one is on its way: the device has work while the CPU waits.

    Parameters
    ----------
    copies : iterable of HostCopy and anything
        An iterator that starts the work of the device when it is asked for the next copy.
    """
    before: tuple[HostCopy, T] | None = None
    for one in copies:
        if before is not None:
            yield before[0].wait(), before[1]
        before = None if one[0].is_here else one
        if before is None:
            yield one[0].wait(), one[1]
    if before is not None:
        yield before[0].wait(), before[1]


def can_pin(kind: str) -> bool:
    """Return whether memory of the CPU can be pinned for copies from and to devices of a type, such as "cuda"."""
    # On MPS a copy that does not block may be read before it is complete.
    if kind in ("cpu", "mps", "meta"):
        return False
    current = torch.accelerator.current_accelerator()
    return current is not None and current.type == kind


def _to_bytes(one: Tensor) -> Tensor:
    flat = one.resolve_conj().resolve_neg().contiguous().flatten()
    # A single number is contiguous with any stride, and would not be seen as bytes.
    return flat.as_strided(flat.shape, (1,)).view(torch.uint8)
