"""Compiled smooth activations of float32: ``native/smooth_activations.c``; others have ``rules/elementwise.py``.

The gradient computes the outputs of the references again, so neither these nor multipliers are kept, and one pass over
memory does for four.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

from seqlight.attribution.kernels.memory_layout import element_pairs
from seqlight.native.threads import run


class Activation(Enum):
    """Smooth activation functions, by the numbers that they have in smooth_activations.c."""

    GELU = 0
    GELU_TANH = 1
    SILU = 2
    SIGMOID = 3


class Hyperbolic(Enum):
    """Functions of which the loops know multipliers and their derivatives alone: PyTorch's own have more digits."""

    TANH = 4


def activation(x: Tensor, kind: Activation, *, sloped: bool = True) -> tuple[Tensor, Tensor]:
    """Return a smooth activation function of `x`, and its slope, which is empty if it is not asked for."""
    y, slope = torch.empty_like(x), x.new_empty(x.shape if sloped else 0)
    run("activations", (x, y, slope if sloped else None), (kind.value,), x.numel(), x.numel())
    return y, slope


def activation_vjp(
    grad: Tensor, recorded: tuple[Tensor, ...], x0: Tensor, kind: Activation, threshold: float, rounding_error: float
) -> Tensor:
    """Return the gradient at `x0`, the input of an activation function.

    Parameters
    ----------
    grad : torch.Tensor
        The gradient at its output.
    recorded : tuple of torch.Tensor
        Input, output and slope of the sequences, as :func:`activation` returns them.
    x0 : torch.Tensor
        The input of the references.
    kind : Activation
        Which function.
    threshold : float
        Smaller differences of inputs count as none.
    rounding_error : float
        The rounding error of an output, relative to its size, or for both kinds of GELU to that of the input.
    """
    out = torch.empty_like(x0)
    numbers = *element_pairs(recorded[0], x0), kind.value, threshold, rounding_error
    run("activation_gradients", (grad.contiguous(), *recorded, x0, out), numbers, x0.numel(), x0.numel())
    return out


def activation_multiplier(
    grad: Tensor, x1: Tensor, x0: Tensor, y1: Tensor, y0: Tensor, kind: Activation | Hyperbolic, near: float
) -> tuple[Tensor, Tensor]:
    """Return `grad` times the multiplier of an activation function, and the multiplier.

    Parameters
    ----------
    grad, x1, x0, y1, y0 : torch.Tensor, of the same shape
        The gradient at the outputs, and inputs and outputs of sequences and references.
    kind : Activation or Hyperbolic
        Which function.
    near : float
        Below this step of the input, the multiplier is the mean slope of two points of the line.
    """
    found = torch.empty_like(x0), torch.empty_like(x0)
    run("activation_multipliers", (grad, x1, x0, y1, y0, *found), (kind.value, near), x0.numel(), x0.numel())
    return found


def activation_derivatives(
    g: Tensor, grad: Tensor, x1: Tensor, x0: Tensor, multiplier: Tensor, kind: Activation | Hyperbolic, near: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients at `grad` and at both inputs of the product that :func:`activation_multiplier` returns.

    Parameters
    ----------
    g : torch.Tensor
        The gradient at that product.
    grad, x1, x0, multiplier : torch.Tensor, of the same shape
        What it was made of.
    kind, near
        As there.
    """
    found = torch.empty_like(x0), torch.empty_like(x0), torch.empty_like(x0)
    run("activation_derivatives", (g, grad, x1, x0, multiplier, *found), (kind.value, near), x0.numel(), x0.numel())
    return found
