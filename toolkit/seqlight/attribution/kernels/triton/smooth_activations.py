"""Gradients of smooth activation functions in Triton: the twin of ``native/smooth_activations.c``.

The kernel computes outputs and slopes from the inputs, so nothing but these is recorded, kept or read. It does so
alike for sequences and references: equal inputs have outputs with equal bits. The functions are those of PyTorch, but
for a few units in the last place.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlight.attribution.kernels.memory_layout import are_packed, element_pairs
from seqlight.attribution.kernels.smooth_activations import Activation
from seqlight.attribution.kernels.triton.elementwise import secant_of
from seqlight.attribution.kernels.triton.launch import BLOCK, blocks, launch
from seqlight.attribution.kernels.triton.pairs import partners_of, quotient


@triton.jit
def exponential(x: tl.tensor) -> tl.tensor:
    """Return exp(x) for x <= 0; that of a device is good to so many digits only where x of float32 is near 0."""
    if x.dtype == tl.float32:
        # Far below, where it is 0 anyway, the shift would not be a number.
        x = tl.where(x < -200, -200.0, x)
        shift = tl.floor(x * 1.44269504 + 0.5)
        # ln 2 in two parts, the first of which times any shift is exact.
        rest = (x - shift * 0.693359375) + shift * 2.12194440e-4
        return tl.exp(rest) * tl.exp2(shift)
    return tl.exp(x)


@triton.jit
def sigmoid_of(x: tl.tensor) -> tl.tensor:
    """Return the sigmoid s, and 1 - s with all its digits."""
    e = exponential(-tl.abs(x))
    large, small = quotient(e * 0 + 1, 1 + e), quotient(e, 1 + e)
    above = x >= 0
    return tl.where(above, large, small), tl.where(above, small, large)


@triton.jit
def activation_of(x: tl.tensor, KIND: tl.constexpr) -> tl.tensor:
    """Return the activation function of this number, and its slope."""
    if KIND == 0:  # GELU
        phi = 0.5 * (1 + tl.erf(x * 0.70710678118654752440))
        # Where it is 0 up to rounding, the product would be of 0 and infinity.
        density = exponential(-0.5 * x * x) * 0.39894228040143267794
        return x * phi, phi + tl.where(tl.abs(x) > 1e4, 0.0, x * density)
    elif KIND == 1:  # GELU_TANH: x sigmoid(u) with u = sqrt(8 / pi) (x + 0.044715 x^3)
        square = tl.minimum(x * x, 1e30)
        s, t = sigmoid_of(x * (1.59576912160573071176 * (1 + 0.044715 * square)))
        rise = x * (1.59576912160573071176 * (1 + 0.134145 * square))
        return x * s, s + tl.where(tl.abs(x) > 1e4, 0.0, rise * (s * t))
    elif KIND == 2:  # SILU
        s, t = sigmoid_of(x)
        return x * s, s + tl.where(tl.abs(x) > 1e4, 0.0, x * (s * t))
    else:
        s, t = sigmoid_of(x)
        return s, s * t


@triton.jit(do_not_specialize=["size", "span", "n"])
def _rescaled(
    out: tl.tensor,
    grad: tl.tensor,
    x1: tl.tensor,
    x0: tl.tensor,
    size: tl.tensor,
    span: tl.tensor,
    n: tl.tensor,
    KIND: tl.constexpr,
    NEAR: tl.constexpr,
    ERROR: tl.constexpr,
    SHORT: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    start = tl.program_id(0).to(tl.int64) * BLOCK
    i = start + tl.arange(0, BLOCK)
    inside = i < size
    u = tl.load(x1 + partners_of(start, span, n, SHORT, BLOCK), inside, 0.0)
    v = tl.load(x0 + i, inside, 0.0)
    f, slope = activation_of(u, KIND)
    g, _ = activation_of(v, KIND)
    multiplier = secant_of(u, f, slope, v, g, NEAR, ERROR, KIND < 2, False)
    tl.store(out + i, tl.load(grad + i, inside, 0.0) * multiplier, inside)


def rescale_vjp(
    grad: Tensor, x1: Tensor, x0: Tensor, kind: Activation, threshold: float, rounding_error: float
) -> Tensor | None:
    """Return the gradient at `x0`, the input of an activation function: `grad` times the secant; or None.

    Parameters
    ----------
    grad : torch.Tensor
        The gradient at its output.
    x1, x0 : torch.Tensor
        The inputs of sequences and references.
    kind, threshold, rounding_error
        As in ``kernels.smooth_activations.activation_vjp``.
    """
    grad = grad.contiguous()
    if not are_packed(grad, x1, x0):
        return None
    out, (span, n) = torch.empty_like(x0), element_pairs(x1, x0)
    constants = {"KIND": kind.value, "NEAR": threshold, "ERROR": rounding_error, "SHORT": span < BLOCK, "BLOCK": BLOCK}
    launch(_rescaled, blocks(x0.numel()), out, grad, x1, x0, x0.numel(), span, n, **constants)
    return out
