"""The multipliers of the commonest operations in one pass over memory, where the package was built with a compiler.

PyTorch's own arithmetic takes half a dozen passes for the same bits. These loops take contiguous
float32 and float64 tensors on the CPU; for anything else each function returns None.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.attribution.calls.pairs import split_dimension
from seqlight.attribution.kernels.buffers import empty, empty_like
from seqlight.native.library import has_lanes, library
from seqlight.native.threads import run


def secant(
    x1: Tensor,
    y1: Tensor,
    slope1: Tensor,
    x0: Tensor,
    y0: Tensor,
    threshold: float,
    allowance: float,
    *,
    by_input: bool = False,
) -> Tensor | None:
    """Return the secant of each element, as ``elementwise.secant`` defines it, or None.

    Parameters
    ----------
    x1, y1, slope1, x0, y0 : torch.Tensor
    threshold : float
        Below which a difference counts as none.
    allowance : float
        Which share of its size an output may be off by.
    by_input : bool
        Whether that size is the input's.
    """
    native = library()
    if native is None or y0.shape != x0.shape or not suit(x1, y1, slope1, x0, y0):
        return None
    span, n = layout(x1, x0)
    out = empty_like(y0)
    numbers = span, n, x0.element_size(), threshold, allowance, by_input
    run("secants", (x1, y1, slope1, x0, y0, out), numbers, x0.numel(), x0.numel())
    return out


def relu_gradients(grad: Tensor, x1: Tensor, x0: Tensor, threshold: float) -> Tensor | None:
    """Return the gradient at `x0`, the input of relu: `grad` times the multiplier; or None."""
    native, grad = library(), grad.contiguous()
    if native is None or not suit(grad, x1, x0):
        return None
    span, n = layout(x1, x0)
    out = torch.empty_like(x0)
    numbers = span, n, x0.element_size(), threshold
    run("relu_gradients", (grad, x1, x0, out), numbers, x0.numel(), x0.numel())
    return out


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
    if native is None or not suit(x1, y1, x0, y0) or not (winners1.is_contiguous() and winners0.is_contiguous()):
        return None
    at = split_dimension(x1, x0)
    lead = x0.ndim - n_pooled
    if at is not None and at[0] >= lead:
        return None
    width, windows = x0.shape[lead:].numel(), y0.shape[lead:].numel()
    span, n = layout(x1, x0)
    winners, out = empty_like(winners0), empty_like(y0)
    numbers = span // width, n, width, windows, x0.element_size(), threshold
    tensors = x1, y1, winners1, x0, y0, winners0, winners, out
    run("pool_credits", tensors, numbers, x0.numel() // width, x0.numel())
    return winners, out


def pools(
    recorded: tuple[Tensor, Tensor, Tensor], x0: Tensor, window: tuple[int, int, int, int], threshold: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the maxima of windows over the last dimension, where their credit goes, and its multiplier, or None.

    Parameters
    ----------
    recorded : tuple of torch.Tensor
        Input, maxima and where they are (int64) of the sequences.
    x0 : torch.Tensor
        The input of the references.
    window : tuple of int
        Size, stride, padding and dilation.
    threshold : float
        Below which a difference counts as none.
    """
    native = library()
    x1, y1, winners1 = recorded
    rows = _rows(x1, x0) if native is not None and suit(x1, y1, x0) and winners1.is_contiguous() else None
    if native is None or rows is None:
        return None
    (width, windows), shape = (x0.shape[-1], y1.shape[-1]), torch.Size([*x0.shape[:-1], y1.shape[-1]])
    y0 = torch.empty(shape, dtype=x0.dtype, device=x0.device)
    winners, out = empty(shape, winners1), empty(shape, x0)
    numbers = *rows, width, windows, *window, x0.element_size(), threshold
    run("pools", (x1, y1, winners1, x0, y0, winners, out), numbers, x0.numel() // width, x0.numel())
    return y0, winners, out


def pool_gradients(
    grad: Tensor, multiplier: Tensor, winners: Tensor, shape: torch.Size, n_pooled: int
) -> Tensor | None:
    """Return the gradient at the input of a pooling, of `shape`, or None."""
    native = library()
    grad = grad.contiguous()
    if native is None or not suit(grad, multiplier) or not winners.is_contiguous():
        return None
    lead = len(shape) - n_pooled
    width, windows = shape[lead:].numel(), grad.shape[lead:].numel()
    out = grad.new_empty(shape)
    numbers = width, windows, grad.element_size()
    run("pool_gradients", (grad, multiplier, winners, out), numbers, out.numel() // width, out.numel())
    return out


def softmax_multipliers(
    recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], threshold: float
) -> tuple[Tensor, Tensor] | None:
    """Return how the difference of logsumexps divides over the last dimension, and the secants of softmax, or None.

    Parameters
    ----------
    recorded, reference : tuple of torch.Tensor
        Input and softmax over the last dimension.
    threshold : float
        Below which a difference counts as none.
    """
    native = library()
    (x1, p1), (x0, p0) = recorded, reference
    rows = _rows(x1, x0) if native is not None and suit(x1, p1, x0, p0) else None
    if native is None or rows is None:
        return None
    weights, slope = empty_like(x0), empty_like(x0)
    numbers = *rows, x0.shape[-1], x0.element_size(), threshold
    run("softmax_multipliers", (x1, p1, x0, p0, weights, slope), numbers, x0[..., 0].numel(), x0.numel())
    return weights, slope


def softmax_gradients(grad: Tensor, weights: Tensor, slope: Tensor) -> Tensor | None:
    """Return the gradient at the input of softmax over the last dimension, or None."""
    native, grad = library(), grad.contiguous()
    if native is None or not suit(grad, weights, slope):
        return None
    out = torch.empty_like(grad)
    numbers = grad.shape[-1], grad.element_size()
    run("softmax_gradients", (grad, weights, slope, out), numbers, grad[..., 0].numel(), grad.numel())
    return out


def attention_gradients(
    grad: Tensor, recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], threshold: float
) -> Tensor | None:
    """Return the weights of attention half way, and write the gradient at the scores over `grad`; or None.

    Parameters
    ----------
    grad : torch.Tensor, shape (..., positions, positions)
        The gradient at the weights.
    recorded, reference : tuple of torch.Tensor
        Scores, and their softmax over the last dimension.
    threshold : float
        Below which a difference counts as none.
    """
    native = library()
    (x1, p1), (x0, p0) = recorded, reference
    rows = _rows(x1, x0) if native is not None and suit(grad, x1, p1, x0, p0) else None
    if native is None or rows is None:
        return None
    half = empty_like(p0)
    numbers = *rows, x0.shape[-1], x0.element_size(), threshold
    run("attention_gradients", (grad, half, x1, p1, x0, p0), numbers, x0[..., 0].numel(), x0.numel())
    return half


def standardised(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Return `x` in one piece, its layer norm over the last dimension, means, and reciprocal roots; or None.

    Parameters
    ----------
    x : torch.Tensor, shape (..., width)
    weight, bias : torch.Tensor, shape (width,), optional
    eps : float
        Added to the variance.
    """
    width, fixed = x.shape[-1], [one for one in (weight, bias) if one is not None]
    if not (has_lanes(library()) and x.dtype == torch.float32 and x.numel() and x.is_cpu and not x.is_neg()):
        return None
    if not all(suit(one) and one.dtype == x.dtype and one.shape == (width,) for one in fixed):
        return None
    if not x.is_contiguous() and not (x.ndim == 3 and x.stride(1) == 1):
        x = x.contiguous()
    kept = x if x.is_contiguous() else x.new_empty(x.shape)
    y, mean, rate = x.new_empty(x.shape), x.new_empty((*x.shape[:-1], 1)), x.new_empty((*x.shape[:-1], 1))
    rows = mean.numel()
    laid = (rows, width, 0, width, 1) if kept is x else (x.shape[1], width, x.stride(0), 1, x.stride(2))
    tensors = x, weight, bias, None if kept is x else kept, y, mean, rate
    run("standardisations", tensors, (*laid, eps), rows, x.numel())
    return kept, y, mean, rate


def standardised_gradients(
    grad: Tensor, weight: Tensor | None, recorded: tuple[Tensor, Tensor, Tensor], reference: tuple[Tensor, ...]
) -> Tensor | None:
    """Return the gradient at the input of a standardisation of the last dimension, or None.

    Parameters
    ----------
    grad : torch.Tensor, shape (..., width)
    weight : torch.Tensor, shape (width,), optional
        What the standardised is multiplied with.
    recorded, reference : tuple of torch.Tensor
        Input, and mean and reciprocal root over its last dimension, which stays.
    """
    native, grad, x0 = library(), grad.contiguous(), reference[0]
    suits = suit(grad, *recorded, *reference, *(() if weight is None else (weight,)))
    rows = _rows(recorded[0], x0) if native is not None and suits else None
    if native is None or rows is None:
        return None
    out = torch.empty_like(grad)
    numbers = *rows, x0.shape[-1], x0.element_size()
    wide = x0.dtype == torch.float32 and has_lanes(native)
    name = "standardisation_gradients" if wide else "standardised_gradients"
    run(name, (grad, weight, *recorded, *reference, out), numbers, reference[1].numel(), x0.numel())
    return out


def _rows(recorded: Tensor, reference: Tensor) -> tuple[int, int] | None:
    """Return how many recorded rows stand behind each other for n times as many of the references, and n."""
    at = split_dimension(recorded, reference)
    if at is not None and at[0] == recorded.ndim - 1:
        return None
    span, n = layout(recorded, reference)
    return span // recorded.shape[-1], n


def suit(*tensors: Tensor) -> bool:
    """Return whether the loops take these tensors."""
    dtype = tensors[0].dtype
    if dtype not in (torch.float32, torch.float64) or not tensors[0].numel():
        return False
    return all(one.dtype == dtype and one.is_cpu and one.is_contiguous() for one in tensors)


def layout(recorded: Tensor, reference: Tensor) -> tuple[int, int]:
    """Return how many recorded elements stand behind each other for n times as many of the references, and n."""
    at = split_dimension(recorded, reference)
    if at is None:
        return recorded.numel(), 1
    dimension, n = at
    return recorded.shape[dimension:].numel(), n
