"""Compiled max pooling, its multipliers and its gradient: ``native/pooling.c``.

The plain twins are in ``rules/pooling.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.attribution.calls.partners import batch_dimension
from seqlight.attribution.kernels.buffers import empty, empty_like
from seqlight.attribution.kernels.memory_layout import element_pairs, row_pairs, suits
from seqlight.native.threads import run


def max_pool(
    recorded: tuple[Tensor, Tensor, Tensor],
    x0: Tensor,
    window: tuple[int, int, int, int],
    threshold: float,
    tie: float,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the maxima of windows over the last dimension, the positions credited, and the multipliers; or None.

    Parameters
    ----------
    recorded : tuple of torch.Tensor
        Input, maxima and positions of the maxima (int64) of the sequences.
    x0 : torch.Tensor
        The input of the references.
    window : tuple of int
        Size, stride, padding and dilation.
    threshold : float
        Smaller differences of inputs count as none.
    tie : float
        Maxima that differ by less than this share of the largest magnitude of their row count as equal.
    """
    x1, y1, winners1 = recorded
    rows = row_pairs(x1, x0) if suits(x1, y1, x0) and winners1.is_contiguous() else None
    if rows is None:
        return None
    (width, windows), shape = (x0.shape[-1], y1.shape[-1]), torch.Size([*x0.shape[:-1], y1.shape[-1]])
    y0 = torch.empty(shape, dtype=x0.dtype, device=x0.device)
    winners, out = empty(shape, winners1), empty(shape, x0)
    numbers = *rows, width, windows, *window, x0.element_size(), threshold, tie
    run("pools", (x1, y1, winners1, x0, y0, winners, out), numbers, x0.numel() // width, x0.numel())
    return y0, winners, out


def maxima(x: Tensor, windows: int, window: tuple[int, int, int, int]) -> tuple[Tensor, Tensor] | None:
    """Return the maxima of windows over the last dimension, and their positions, of equal ones the first; or None.

    This is :func:`max_pool` with itself for a sequence whose maxima are no numbers, so that none of them has grown.

    Parameters
    ----------
    x : torch.Tensor
    windows : int
        How many there are.
    window : tuple of int
        Size, stride, padding and dilation.
    """
    shape = torch.Size([*x.shape[:-1], windows])
    nothing, nowhere = x.new_full(shape, torch.nan), torch.zeros(shape, dtype=torch.int64)
    found = max_pool((x, nothing, nowhere), x, window, 0.0, 0.0)
    return None if found is None else found[:2]


def cross_maximum(
    recorded: tuple[Tensor, Tensor, Tensor], reference: tuple[Tensor, Tensor, Tensor], n_pooled: int, threshold: float
) -> tuple[Tensor, Tensor] | None:
    """Return the position that gets the credit of each window, and the multiplier there; or None.

    Parameters
    ----------
    recorded, reference : tuple of torch.Tensor
        Input, maxima and positions of the maxima (int64, counted over the pooled dimensions).
    n_pooled : int
        How many of the last dimensions are pooled.
    threshold : float
        Smaller differences of inputs count as none.
    """
    (x1, y1, winners1), (x0, y0, winners0) = recorded, reference
    if not suits(x1, y1, x0, y0) or not (winners1.is_contiguous() and winners0.is_contiguous()):
        return None
    at = batch_dimension(x1, x0)
    lead = x0.ndim - n_pooled
    if at is not None and at[0] >= lead:
        return None
    width, windows = x0.shape[lead:].numel(), y0.shape[lead:].numel()
    span, n = element_pairs(x1, x0)
    winners, out = empty_like(winners0), empty_like(y0)
    numbers = span // width, n, width, windows, x0.element_size(), threshold
    tensors = x1, y1, winners1, x0, y0, winners0, winners, out
    run("pool_credits", tensors, numbers, x0.numel() // width, x0.numel())
    return winners, out


def max_pool_vjp(
    grad: Tensor,
    multiplier: Tensor,
    winners: Tensor,
    shape: torch.Size,
    n_pooled: int,
    window: tuple[int, int, int, int] | None = None,
) -> Tensor | None:
    """Return the gradient at the input of a pooling, or None.

    Parameters
    ----------
    grad : torch.Tensor
        The gradient at its output.
    multiplier, winners : torch.Tensor
        What :func:`max_pool` or :func:`cross_maximum` returned.
    shape : torch.Size
        That of the input.
    n_pooled : int
        How many of the last dimensions are pooled.
    window : tuple of int, optional
        Size, stride, padding and dilation of windows over the last dimension alone; here they are not needed.
    """
    grad = grad.contiguous()
    if not suits(grad, multiplier) or not winners.is_contiguous():
        return None
    lead = len(shape) - n_pooled
    width, windows = shape[lead:].numel(), grad.shape[lead:].numel()
    out = grad.new_empty(shape)
    numbers = width, windows, grad.element_size()
    run("pool_gradients", (grad, multiplier, winners, out), numbers, out.numel() // width, out.numel())
    return out


def max_pool_derivatives(
    g: Tensor, grad: Tensor, multiplier: Tensor, winners: Tensor, x1: Tensor, x0: Tensor
) -> tuple[Tensor, ...] | None:
    """Return the gradients at `grad`, at both inputs, and at the maxima of both, of :func:`max_pool_vjp`; or None.

    Parameters
    ----------
    g : torch.Tensor, shape (..., width)
        The gradient at what it returns.
    grad, multiplier, winners : torch.Tensor, shape (..., windows)
        What it returned that for.
    x1, x0 : torch.Tensor, shape (..., width)
        The inputs of sequences and references, a row of each for each row.
    """
    g, grad = g.contiguous(), grad.contiguous()
    if not suits(g, grad, multiplier, x1, x0) or not winners.is_contiguous():
        return None
    found = (
        torch.empty_like(grad),
        torch.empty_like(x1),
        torch.empty_like(x0),
        *(torch.empty_like(grad) for _ in range(2)),
    )
    width, windows = x0.shape[-1], grad.shape[-1]
    tensors = g, grad, multiplier, x1, x0, winners, *found
    run("pool_derivatives", tensors, (width, windows, x0.element_size()), x0.numel() // width, x0.numel())
    return found
