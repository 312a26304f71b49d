"""When a difference from the reference has too few digits: large numbers of the reference would cancel."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.prediction.changed_windows.call import Call
from seqlight.prediction.changed_windows.reference_outputs import ReferenceOutputs
from seqlight.prediction.changed_windows.windows import Windows

# How many times larger numbers may be that cancel: what is rounded off of them is then little of what remains.
LARGER = {torch.float64: 1e5}
LARGER_ELSE = 100.0


def keeps_digits(call: Call, x: Windows) -> bool:
    """Return whether what the reference has in the windows can be subtracted again.

    A sum of the reference plus a difference rounds like the largest number that is added and taken away again: where a
    mutation removes a peak, such as an exponential of a score, little would be left. Infinite numbers never can be.

    Examples
    --------
    >>> from seqlight.prediction.changed_windows.windows import PlainWindows
    >>> peak, flat = torch.ones(1, 1, 50), torch.ones(1, 1, 50)
    >>> peak[0, 0, 20] = 1e6
    >>> def call(one):
    ...     x = PlainWindows(one, torch.ones(2, 1, 4), torch.tensor([18]), 2)
    ...     return Call("sum", torch.sum, [x, -1], None, ReferenceOutputs()), x
    >>> keeps_digits(*call(flat)), keeps_digits(*call(peak))
    (True, False)
    """
    if is_level(call.outputs, x.reference, x.axis):
        return True
    sizes, usual, largest = _sizes_of(call.outputs, x.reference, x.axis)
    if not largest < float("inf"):
        return False
    most = LARGER.get(x.reference.dtype, LARGER_ELSE)
    removed = sizes.unfold(0, x.width, 1)[x.starts].amax(-1)
    left = x.values.detach().abs().amax(tuple(range(1, x.values.ndim))).cpu().double()
    return bool((removed <= most * left.clamp(min=usual)).all())


def is_level(outputs: ReferenceOutputs, reference: Tensor, axis: int) -> bool:
    """Return whether a reference has no peak, so that whatever mutations do, its differences keep their digits."""
    _, usual, largest = _sizes_of(outputs, reference, axis)
    return largest < float("inf") and largest <= LARGER.get(reference.dtype, LARGER_ELSE) * usual


def _sizes_of(outputs: ReferenceOutputs, reference: Tensor, axis: int) -> tuple[Tensor, float, float]:
    found: tuple[Tensor, float, float] = outputs.derived(_sizes, reference, axis)
    return found


def _sizes(one: Tensor, axis: int) -> tuple[Tensor, float, float]:
    """Return the largest number at each position, what is usual of these, and their largest; on the CPU."""
    others = [dim for dim in range(one.ndim) if dim != axis]
    sizes = one.detach().abs().amax(others).cpu().double()
    return sizes, float(sizes.median()), float(sizes.max())
