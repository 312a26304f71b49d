"""Compiled multipliers of softmax over the last dimension, and the gradient at its input: ``native/softmax.c``.

The plain twins are in ``rules/softmax.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.attribution.kernels.buffers import empty_like
from seqlight.attribution.kernels.memory_layout import row_pairs, suits
from seqlight.native.threads import run


def softmax_multipliers(
    recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], nearness: float
) -> tuple[Tensor, Tensor] | None:
    """Return the weights of logsumexp, and the secant of softmax over log_softmax; or None.

    Parameters
    ----------
    recorded, reference : tuple of torch.Tensor
        Input, and softmax over the last dimension.
    nearness : float
        The square of the step at which the quotient and the mean of two softmaxes count the same.
    """
    (x1, p1), (x0, p0) = recorded, reference
    rows = row_pairs(x1, x0) if suits(x1, p1, x0, p0) else None
    if rows is None:
        return None
    weights, slope = empty_like(x0), empty_like(x0)
    width, entries = x0.shape[-1], x0.numel()
    numbers = *rows, width, x0.element_size(), nearness
    run("softmax_multipliers", (x1, p1, x0, p0, weights, slope), numbers, entries // width, entries)
    return weights, slope


def softmax_vjp(grad: Tensor, weights: Tensor, slope: Tensor) -> Tensor | None:
    """Return the gradient at the input of softmax over the last dimension, or None."""
    grad = grad.contiguous()
    if not suits(grad, weights, slope):
        return None
    out, width, entries = torch.empty_like(grad), grad.shape[-1], grad.numel()
    run("softmax_gradients", (grad, weights, slope, out), (width, grad.element_size()), entries // width, entries)
    return out


def softmax_vjp_in_place(
    grad: Tensor, recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], nearness: float
) -> Tensor | None:
    """Return the mean of both softmaxes, and write the gradient at the input over `grad`; or None.

    Inside attention a multiplier is used once, so it is never in memory.

    Parameters
    ----------
    grad : torch.Tensor, shape (..., queries, keys)
        The gradient at the weights of attention.
    recorded, reference : tuple of torch.Tensor
        Scores, and their softmax over the last dimension.
    nearness : float
        The square of the step at which the quotient and the mean of two softmaxes count the same.
    """
    (x1, p1), (x0, p0) = recorded, reference
    rows = row_pairs(x1, x0) if suits(grad, x1, p1, x0, p0) else None
    if rows is None:
        return None
    mean = empty_like(p0)
    width, entries = x0.shape[-1], x0.numel()
    numbers = *rows, width, x0.element_size(), nearness
    run("attention_gradients", (grad, mean, x1, p1, x0, p0), numbers, entries // width, entries)
    return mean


def softmax_derivatives(
    g: Tensor,
    grad: Tensor,
    recorded: tuple[Tensor, Tensor],
    reference: tuple[Tensor, Tensor],
    nearness: float,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the gradients at `grad` and at both inputs of the gradient that softmax passes on; or None.

    Parameters
    ----------
    g : torch.Tensor, shape (..., width)
        The gradient at what :func:`softmax_vjp` returns for `grad` and :func:`softmax_multipliers`.
    grad : torch.Tensor, shape (..., width)
        The gradient at the output of softmax.
    recorded, reference : tuple of torch.Tensor, shapes (..., width)
        Finite inputs, and softmax over the last dimension, a row of each for each row.
    nearness : float
        The square of the step at which the quotient and the mean of two softmaxes count the same.
    """
    tensors = g.contiguous(), grad.contiguous(), *recorded, *reference
    if not suits(*tensors):
        return None
    found = torch.empty_like(grad), torch.empty_like(grad), torch.empty_like(grad)
    width, entries = grad.shape[-1], grad.numel()
    run(
        "softmax_derivatives",
        (*tensors, *found),
        (width, grad.element_size(), nearness),
        entries // width,
        entries,
    )
    return found
