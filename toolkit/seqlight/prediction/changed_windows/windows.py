"""The windows of a tensor that changed: some positions of each row, everywhere else it is that of the reference."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from seqlight.prediction.changed_windows import native_windows
from seqlight.prediction.changed_windows.memory_layout import empty_along, has_channels_last

# Beyond this share of the positions a tensor is cheaper whole.
MOST = 0.9
# Slices of so many positions are copied one by one as fast as all at once, or faster, on the CPU.
WIDE = 100


class Windows(ABC):
    """Rows that equal one reference outside a window of positions, which has the same width in all rows.

    Where it also begins at the same place in all rows, what lies around it is a view of the reference.

    Parameters
    ----------
    reference : torch.Tensor, shape (1, ...)
        The whole of the reference.
    starts : torch.Tensor, int64, shape (rows,), or (1,) where it is the same for all rows, on the CPU
        Where each window begins; all lie within the reference.
    axis : int
        The dimension of positions, at least 1.
    window_shape : torch.Size
        That of the windows: as of `reference` but for the rows and `axis`, which has the width.

    Attributes
    ----------
    rows, width : int
        The number of rows, and the positions of a window.
    """

    def __init__(self, reference: Tensor, starts: Tensor, axis: int, window_shape: torch.Size) -> None:
        self.reference, self.starts, self.axis, self.window_shape = reference, starts, axis, window_shape
        self.rows, self.width = window_shape[0], window_shape[axis]
        self._wider: list[tuple[Tensor, Tensor]] = []

    @property
    @abstractmethod
    def values(self) -> Tensor:
        """What each row has in its window."""

    @property
    def together(self) -> bool:
        """Whether the windows of all rows begin at the same place."""
        return len(self.starts) == 1

    @property
    def length(self) -> int:
        """The positions of the whole."""
        return self.reference.shape[self.axis]

    @property
    def shape(self) -> torch.Size:
        """The shape of the whole."""
        return torch.Size((self.rows, *self.reference.shape[1:]))

    def at(self, starts: Tensor, width: int) -> Tensor:
        """Return what each row has in another window of `width` positions, which begins at its number of `starts`."""
        if width == self.width and torch.equal(starts, self.starts):
            return self.values
        for begins, wider in self._wider:  # of a convolution, beside which its input is added to its output
            offsets = starts - begins
            first = int(offsets[0])
            if 0 <= first <= wider.shape[self.axis] - width and bool((offsets == first).all()):
                return wider.narrow(self.axis, first, width)
        if self.together:
            found = self._around(int(starts), width)
        elif self.axis == 2 and native_windows.suits(self.values, self.reference, self.starts, starts):
            found = native_windows.wider(self.values, self.starts, self.reference, starts, width)
        else:
            found = self._placed(cut(self.reference, self.axis, starts, width), self.starts - starts)
        self._wider[:] = [(starts, found)]
        return found

    def change(self) -> Tensor:
        """Return the difference of the windows from what the reference has there."""
        return plus_reference(self.values, self.reference, self.axis, self.starts, -1)

    def whole(self) -> Tensor:
        """Return the rows in full, a new tensor."""
        rows = self.reference.expand(self.rows, *self.reference.shape[1:]).clone(memory_format=torch.contiguous_format)
        return self._placed(rows, self.starts)

    def _around(self, start: int, width: int) -> Tensor:
        """Return another window that begins at `start` in all rows."""
        axis, own = self.axis, int(self.starts)
        first = min(max(own, start), start + width)
        last = max(min(own + self.width, start + width), first)
        if first == start and last == start + width:
            return self.values.narrow(axis, first - own, width)
        found = empty_along(self.values, axis, width)
        for begin, end in ((start, first), (last, start + width)):
            if begin < end:
                found.narrow(axis, begin - start, end - begin).copy_(self.reference.narrow(axis, begin, end - begin))
        if first < last:
            found.narrow(axis, first - start, last - first).copy_(self.values.narrow(axis, first - own, last - first))
        return found

    def _placed(self, rows: Tensor, offsets: Tensor) -> Tensor:
        """Write the windows to `rows` at their offsets, as far as they lie within, and return it."""
        width, size = self.width, rows.shape[self.axis]
        first, last = int(offsets.min()), int(offsets.max())
        if first == last and first >= 0 and first + width <= size:
            rows.narrow(self.axis, first, width).copy_(self.values)
            return rows
        shape = [1] * rows.ndim
        if first >= 0 and last + width <= size and has_channels_last(rows) and has_channels_last(self.values):
            begins = torch.arange(0, len(rows) * size, size, device="cpu") + offsets
            index = (begins.unsqueeze(1) + torch.arange(width, device="cpu")).flatten().to(rows.device)
            rows.mT.flatten(0, 1).index_copy_(0, index, self.values.mT.flatten(0, 1))
            return rows
        if first >= 0 and last + width <= size:
            index = offsets.unsqueeze(1) + torch.arange(width, device="cpu")
            shape[0], shape[self.axis] = self.rows, width
            return rows.scatter_(self.axis, index.to(rows.device).view(shape).expand_as(self.values), self.values)
        index = torch.arange(size, device="cpu") - offsets.unsqueeze(1)
        shape[0], shape[self.axis] = self.rows, size
        inside = ((index >= 0) & (index < width)).to(rows.device).view(shape)
        index = index.clamp(0, width - 1).to(rows.device).view(shape).expand_as(rows)
        return torch.where(inside, self.values.gather(self.axis, index), rows)


class PlainWindows(Windows):
    """Windows by what each row has in them.

    Parameters
    ----------
    reference, starts, axis
        As in :class:`Windows`.
    values : torch.Tensor, shape (rows, ...)
        What each row has in its window.
    """

    def __init__(self, reference: Tensor, values: Tensor, starts: Tensor, axis: int) -> None:
        super().__init__(reference, starts, axis, values.shape)
        self._values = values

    @property
    def values(self) -> Tensor:
        """What each row has in its window."""
        return self._values


def cut(reference: Tensor, axis: int, starts: Tensor, width: int) -> Tensor:
    """Return windows of a reference, a new tensor of shape (rows, ...); for a single start a view of shape (1, ...).

    Examples
    --------
    >>> cut(torch.arange(5).view(1, 1, 5), 2, torch.tensor([0, 3]), 2)
    tensor([[[0, 1]],
    <BLANKLINE>
            [[3, 4]]])
    """
    if len(starts) == 1:
        return reference.narrow(axis, int(starts), width)
    if has_channels_last(reference):
        channels = reference.shape[1]
        windows = reference.as_strided((reference.shape[2] - width + 1, width * channels), (reference.stride(2), 1))
        return windows[starts.to(reference.device)].view(len(starts), width, channels).mT
    if reference.is_cpu and width >= WIDE:
        return torch.stack([reference[0].narrow(axis - 1, start, width) for start in starts.tolist()])
    one = reference[0].movedim(axis - 1, 0)
    if axis == reference.ndim - 1 and axis > 1:  # positions last: each window of a channel is one piece of memory
        return one.unfold(0, width, 1)[starts.to(reference.device)].movedim(-1, axis)
    index = (starts.unsqueeze(1) + torch.arange(width, device="cpu")).flatten().to(reference.device)
    return one[index].view(len(starts), width, *one.shape[1:]).movedim(1, axis)


def plus_reference(
    one: Tensor, reference: Tensor, axis: int, starts: Tensor, sign: int = 1, in_place: bool = False
) -> Tensor:
    """Return windows plus what a reference has there, or minus it where `sign` is -1.

    Examples
    --------
    >>> plus_reference(torch.ones(2, 1, 2), torch.arange(5.0).view(1, 1, 5), 2, torch.tensor([0, 3])).tolist()
    [[[1.0, 2.0]], [[4.0, 5.0]]]
    """
    if axis == 2 and native_windows.suits(one, reference, starts):
        return native_windows.plus_reference(one, reference, starts, sign, in_place)
    there = cut(reference, axis, starts, one.shape[axis])
    return one.add_(there, alpha=sign) if in_place else torch.add(one, there, alpha=sign)


def join(some: list[Windows]) -> tuple[Tensor, int] | None:
    """Return starts and width of the windows that cover those of several tensors; None if that is nearly everything.

    None also if they do not have the same positions along the same dimension.
    """
    one = some[0]
    if any(other.axis != one.axis or other.length != one.length or other.rows != one.rows for other in some):
        return None
    starts, ends = one.starts, one.starts + one.width
    for other in some[1:]:
        if other.starts is not one.starts or other.width != one.width:
            starts, ends = torch.minimum(starts, other.starts), torch.maximum(ends, other.starts + other.width)
    return fit(starts, ends, one.length)


def fit(starts: Tensor, ends: Tensor, length: int) -> tuple[Tensor, int] | None:
    """Return starts and the least common width of windows that cover given ones; None if that is nearly everything.

    Examples
    --------
    >>> fit(torch.tensor([-2, 10]), torch.tensor([3, 18]), 20)
    (tensor([ 0, 10]), 8)
    """
    starts, ends = starts.clamp(0, length - 1), ends.clamp(1, length)
    width = max(1, int((ends - starts).max()))
    if width > MOST * length:
        return None
    return starts.clamp(max=length - width), width
