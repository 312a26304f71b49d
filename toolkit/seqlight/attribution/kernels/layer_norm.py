"""Compiled layer norm and its gradient: ``native/layer_norm.c``. The plain twins are in ``rules/layer_norm.py``."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.attribution.kernels.memory_layout import row_pairs, suits
from seqlight.native.library import has_lanes, library
from seqlight.native.threads import run


def layer_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Return `x` as a contiguous tensor, its layer norm over the last dimension, means, and reciprocal roots; or None.

    Parameters
    ----------
    x : torch.Tensor, shape (..., width)
    weight, bias : torch.Tensor, shape (width,), optional
    eps : float
        Added to the variance.
    """
    width, fixed = x.shape[-1], [one for one in (weight, bias) if one is not None]
    if not x.numel() or x.is_neg() or (fixed and not (suits(*fixed) and fixed[0].dtype == x.dtype)):
        return None
    if any(one.shape != (width,) for one in fixed):
        return None
    if not x.is_contiguous() and not (x.ndim == 3 and x.stride(1) == 1):
        x = x.contiguous()
    kept = x if x.is_contiguous() else x.new_empty(x.shape)
    y, mean = torch.empty_like(kept), x.new_empty((*x.shape[:-1], 1))
    rate, rows = torch.empty_like(mean), mean.numel()
    laid = (rows, width, 0, width, 1) if kept is x else (x.shape[1], width, x.stride(0), 1, x.stride(2))
    tensors = x, weight, bias, None if kept is x else kept, y, mean, rate
    run("standardisations", tensors, (*laid, eps), rows, x.numel())
    return kept, y, mean, rate


def layer_norm_vjp(
    grad: Tensor, weight: Tensor | None, recorded: tuple[Tensor, Tensor, Tensor], reference: tuple[Tensor, ...]
) -> Tensor | None:
    """Return the gradient at the input of a layer norm over the last dimension, or None.

    Parameters
    ----------
    grad : torch.Tensor, shape (..., width)
    weight : torch.Tensor, shape (width,), optional
    recorded, reference : tuple of torch.Tensor
        Input, and mean and reciprocal root of the variance over its last dimension, which stays.
    """
    grad, x0 = grad.contiguous(), reference[0]
    suited = suits(grad, *recorded, *reference, *(() if weight is None else (weight,)))
    rows = row_pairs(recorded[0], x0) if suited else None
    if rows is None:
        return None
    out = torch.empty_like(grad)
    numbers = *rows, x0.shape[-1], x0.element_size()
    vectorised = x0.dtype == torch.float32 and has_lanes(library())
    name = "standardisation_gradients" if vectorised else "standardised_gradients"
    run(name, (grad, weight, *recorded, *reference, out), numbers, reference[1].numel(), x0.numel())
    return out


def layer_norm_derivatives(
    g: Tensor, grad: Tensor, weight: Tensor | None, recorded: tuple[Tensor, ...], reference: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the gradients at `grad` times `weight`, and at both inputs of :func:`layer_norm_vjp`; or None.

    Parameters
    ----------
    g : torch.Tensor, shape (..., width)
        The gradient at what it returns.
    grad, weight, recorded, reference
        What it is given, with a row of the sequences for each row of the references.
    """
    g = g.contiguous()
    if not suits(g, grad, *recorded, *reference, *(() if weight is None else (weight,))):
        return None
    found = torch.empty_like(grad), torch.empty_like(grad), torch.empty_like(grad)
    width, entries = grad.shape[-1], grad.numel()
    tensors = g, grad, weight, *recorded, *reference, *found
    run("standardised_derivatives", tensors, (width, grad.element_size()), entries // width, entries)
    return found
