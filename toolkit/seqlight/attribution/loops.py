"""The multipliers of the commonest operations in one pass over memory, where the package was built with a compiler.

PyTorch's own arithmetic takes half a dozen passes for the same bits. These loops take contiguous
float32 and float64 tensors on the CPU; for anything else each function returns None.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.attribution.arena import empty_like
from seqlight.attribution.pairing import split_dimension
from seqlight.native.library import library, over_rows


def secant(x1: Tensor, y1: Tensor, slope1: Tensor, x0: Tensor, y0: Tensor, threshold: float) -> Tensor | None:
    """Return the secant of each element, as :func:`seqlight.attribution.rules.secant` defines it, or None."""
    native = library()
    if native is None or y0.shape != x0.shape or not _suit(x1, y1, slope1, x0, y0):
        return None
    span, n = _layout(x1, x0)
    out = empty_like(y0)
    pointers = [tensor.data_ptr() for tensor in (x1, y1, slope1, x0, y0, out)]
    tail = (span, n, x0.element_size(), threshold)
    over_rows(lambda a, b: native.secants(*pointers, a, b, *tail), x0.numel(), x0.numel())
    return out


def relu(x1: Tensor, x0: Tensor, threshold: float) -> tuple[Tensor, Tensor] | None:
    """Return ``relu(x0)`` and its multipliers, or None."""
    native = library()
    if native is None or not _suit(x1, x0):
        return None
    span, n = _layout(x1, x0)
    y0, out = torch.empty_like(x0), empty_like(x0)
    pointers = [tensor.data_ptr() for tensor in (x1, x0, y0, out)]
    tail = (span, n, x0.element_size(), threshold)
    over_rows(lambda a, b: native.relus(*pointers, a, b, *tail), x0.numel(), x0.numel())
    return y0, out


def pool_credits(
    recorded: tuple[Tensor, Tensor, Tensor], reference: tuple[Tensor, Tensor, Tensor], n_pooled: int, threshold: float
) -> tuple[Tensor, Tensor] | None:
    """Return where each window's credit goes, and its multiplier, or None.

    Parameters
    ----------
    recorded, reference : tuple of torch.Tensor
        Input, maxima and where they are (int64, counted over the pooled dimensions).
    n_pooled : int
        How many of the last dimensions are pooled.
    threshold : float
        Below which a difference counts as none.
    """
    native = library()
    (x1, y1, winners1), (x0, y0, winners0) = recorded, reference
    if native is None or not _suit(x1, y1, x0, y0) or not (winners1.is_contiguous() and winners0.is_contiguous()):
        return None
    at = split_dimension(x1, x0)
    lead = x0.ndim - n_pooled
    if at is not None and at[0] >= lead:
        return None
    width, windows = x0.shape[lead:].numel(), y0.shape[lead:].numel()
    span, n = _layout(x1, x0)
    winners, out = empty_like(winners0), empty_like(y0)
    pointers = [tensor.data_ptr() for tensor in (x1, y1, winners1, x0, y0, winners0, winners, out)]
    tail = (span // width, n, width, windows, x0.element_size(), threshold)
    over_rows(lambda a, b: native.pool_credits(*pointers, a, b, *tail), x0.numel() // width, x0.numel())
    return winners, out


def pool_gradients(
    grad: Tensor, multiplier: Tensor, winners: Tensor, shape: torch.Size, n_pooled: int
) -> Tensor | None:
    """Return the gradient at the input of a pooling, of `shape`, or None."""
    native = library()
    grad = grad.contiguous()
    if native is None or not _suit(grad, multiplier) or not winners.is_contiguous():
        return None
    lead = len(shape) - n_pooled
    width, windows = shape[lead:].numel(), grad.shape[lead:].numel()
    out = grad.new_empty(shape)
    pointers = [tensor.data_ptr() for tensor in (grad, multiplier, winners, out)]
    tail = (width, windows, grad.element_size())
    over_rows(lambda a, b: native.pool_gradients(*pointers, a, b, *tail), out.numel() // width, out.numel())
    return out


def _suit(*tensors: Tensor) -> bool:
    first = tensors[0]
    return (
        first.dtype in (torch.float32, torch.float64)
        and first.numel() > 0
        and all(one.dtype == first.dtype and one.device.type == "cpu" and one.is_contiguous() for one in tensors)
    )


def _layout(recorded: Tensor, reference: Tensor) -> tuple[int, int]:
    """Return how many recorded elements stand behind each other for n times as many of the references, and n."""
    at = split_dimension(recorded, reference)
    if at is None:
        return recorded.numel(), 1
    dimension, n = at
    return recorded.shape[dimension:].numel(), n
