"""Compiled secants of elementwise functions, and the gradient of relu: ``native/elementwise.c``.

PyTorch's own arithmetic takes half a dozen passes over memory for the same bits. The plain twins are in
``rules/elementwise.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.attribution.kernels.buffers import empty_like
from seqlight.attribution.kernels.memory_layout import element_pairs, suits
from seqlight.native.threads import run


def secant(
    x1: Tensor,
    y1: Tensor,
    slope1: Tensor,
    x0: Tensor,
    y0: Tensor,
    threshold: float,
    rounding_error: float,
    *,
    by_input: bool = False,
) -> Tensor | None:
    """Return the secant of each element, as ``rules.elementwise.secant`` defines it, or None.

    Parameters
    ----------
    x1, y1, slope1, x0, y0 : torch.Tensor
        Input, output and slope of the sequences, input and output of the references.
    threshold : float
        Smaller differences of inputs count as none.
    rounding_error : float
        The rounding error of an output, relative to its size.
    by_input : bool
        Whether that is relative to the size of the input instead.
    """
    if y0.shape != x0.shape or not suits(x1, y1, slope1, x0, y0):
        return None
    span, n = element_pairs(x1, x0)
    out = empty_like(y0)
    numbers = span, n, x0.element_size(), threshold, rounding_error, by_input
    run("secants", (x1, y1, slope1, x0, y0, out), numbers, x0.numel(), x0.numel())
    return out


def relu_vjp(grad: Tensor, x1: Tensor, x0: Tensor, threshold: float) -> Tensor | None:
    """Return the gradient at `x0`, the input of relu: `grad` times the secant; or None."""
    grad = grad.contiguous()
    if not suits(grad, x1, x0):
        return None
    span, n = element_pairs(x1, x0)
    out = torch.empty_like(x0)
    numbers = span, n, x0.element_size(), threshold
    run("relu_gradients", (grad, x1, x0, out), numbers, x0.numel(), x0.numel())
    return out


def relu_derivatives(g: Tensor, grad: Tensor, x1: Tensor, x0: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the gradients at `grad` and at both inputs of the gradient that relu passes on; or None.

    Parameters
    ----------
    g : torch.Tensor
        The gradient at what :func:`relu_vjp` returns.
    grad : torch.Tensor
        The gradient at the output of relu.
    x1, x0 : torch.Tensor, of the same shape
        The inputs of sequences and references.
    """
    g, grad = g.contiguous(), grad.contiguous()
    if not suits(g, grad, x1, x0):
        return None
    found = torch.empty_like(x0), torch.empty_like(x0), torch.empty_like(x0)
    run("relu_derivatives", (g, grad, x1, x0, *found), (x0.element_size(),), x0.numel(), x0.numel())
    return found
