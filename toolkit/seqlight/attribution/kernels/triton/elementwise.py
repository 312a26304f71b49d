"""Secants of elementwise functions in Triton, and gradients times them: the twin of ``native/elementwise.c``.

One kernel on the way back reads what is known of both, and writes the gradient: no multiplier is ever in memory. The
plain twins are in ``rules/elementwise.py``.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlight.attribution.kernels.memory_layout import are_packed, element_pairs
from seqlight.attribution.kernels.triton.launch import BLOCK, blocks, launch
from seqlight.attribution.kernels.triton.pairs import partners_of, quotient


@triton.jit(do_not_specialize=["size", "span", "n"])
def _relu_gradients(
    out: tl.tensor,
    grad: tl.tensor,
    x1: tl.tensor,
    x0: tl.tensor,
    size: tl.tensor,
    span: tl.tensor,
    n: tl.tensor,
    NEAR: tl.constexpr,
    SHORT: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    start = tl.program_id(0).to(tl.int64) * BLOCK
    i = start + tl.arange(0, BLOCK)
    inside = i < size
    u = tl.load(x1 + partners_of(start, span, n, SHORT, BLOCK), inside, 0.0)
    v = tl.load(x0 + i, inside, 0.0)
    dx = u - v
    # Not the larger of it and 0, which would hide that it is not a number.
    dy = tl.where(u < 0, 0.0, u) - tl.where(v < 0, 0.0, v)
    far = tl.abs(dx) >= NEAR
    slope = tl.where(u > 0, 1.0, 0.0).to(u.dtype)
    multiplier = tl.where(far, quotient(dy, tl.where(far, dx, 1.0)), slope)
    tl.store(out + i, tl.load(grad + i, inside, 0.0) * multiplier, inside)


@triton.jit(do_not_specialize=["size", "span", "n"])
def _rescaled(
    out: tl.tensor,
    grad: tl.tensor,
    x1: tl.tensor,
    y1: tl.tensor,
    slope1: tl.tensor,
    x0: tl.tensor,
    y0: tl.tensor,
    size: tl.tensor,
    span: tl.tensor,
    n: tl.tensor,
    NEAR: tl.constexpr,
    ERROR: tl.constexpr,
    BY_INPUT: tl.constexpr,
    INFINITE: tl.constexpr,
    HAS_GRADIENT: tl.constexpr,
    SHORT: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    start = tl.program_id(0).to(tl.int64) * BLOCK
    i = start + tl.arange(0, BLOCK)
    inside = i < size
    partner = partners_of(start, span, n, SHORT, BLOCK)
    u, v = tl.load(x1 + partner, inside, 0.0), tl.load(x0 + i, inside, 0.0)
    f, g = tl.load(y1 + partner, inside, 0.0), tl.load(y0 + i, inside, 0.0)
    slope = tl.load(slope1 + partner, inside, 0.0)
    multiplier = secant_of(u, f, slope, v, g, NEAR, ERROR, BY_INPUT, INFINITE)
    if HAS_GRADIENT:
        multiplier = tl.load(grad + i, inside, 0.0) * multiplier
    tl.store(out + i, multiplier, inside)


@triton.jit
def secant_of(
    u: tl.tensor,
    f: tl.tensor,
    slope: tl.tensor,
    v: tl.tensor,
    g: tl.tensor,
    NEAR: tl.constexpr,
    ERROR: tl.constexpr,
    BY_INPUT: tl.constexpr,
    INFINITE: tl.constexpr,
) -> tl.tensor:
    """Return the secant between v, with output g, and u, with output f and a slope: ``rules.elementwise.secant``."""
    dx, dy = u - v, f - g
    if INFINITE:
        dy = tl.where(f == g, 0.0, dy)
    far = tl.abs(dx) >= NEAR
    if ERROR > 0:
        noise = (tl.abs(u if BY_INPUT else f) + tl.abs(slope * u)) * ERROR
        hidden = tl.abs(dy - slope * dx) < noise
        far = far & (hidden == 0)
    return tl.where(far, quotient(dy, tl.where(far, dx, 1.0)), slope)


def relu_vjp(grad: Tensor, x1: Tensor, x0: Tensor, threshold: float) -> Tensor | None:
    """Return the gradient at `x0`, the input of relu: `grad` times the secant; or None.

    Parameters are those of ``kernels.elementwise.relu_vjp``.
    """
    grad = grad.contiguous()
    if not are_packed(grad, x1, x0):
        return None
    out, (span, n) = torch.empty_like(x0), element_pairs(x1, x0)
    constants = {"NEAR": threshold, "SHORT": span < BLOCK, "BLOCK": BLOCK}
    launch(_relu_gradients, blocks(x0.numel()), out, grad, x1, x0, x0.numel(), span, n, **constants)
    return out


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
    """Return the secant of each element, or None; parameters are those of ``kernels.elementwise.secant``."""
    settings = threshold, rounding_error, by_input, False
    return _rescale(None, x1, y1, slope1, x0, y0, *settings)


def rescale_vjp(
    grad: Tensor,
    recorded: tuple[Tensor, Tensor, Tensor],
    reference: tuple[Tensor, Tensor],
    threshold: float,
    rounding_error: float,
    *,
    by_input: bool = False,
    infinite: bool = False,
) -> Tensor | None:
    """Return the gradient at the input of any elementwise operation: `grad` times the secant; or None.

    Parameters
    ----------
    grad : torch.Tensor
        The gradient at the output of the references.
    recorded : tuple of torch.Tensor
        Input, output and slope of the sequences.
    reference : tuple of torch.Tensor
        Input and output of the references.
    threshold, rounding_error, by_input
        As in ``kernels.elementwise.secant``.
    infinite : bool
        Whether outputs may be infinite: two equal infinities do not differ.
    """
    return _rescale(grad.contiguous(), *recorded, *reference, threshold, rounding_error, by_input, infinite)


def _rescale(
    grad: Tensor | None,
    x1: Tensor,
    y1: Tensor,
    slope1: Tensor,
    x0: Tensor,
    y0: Tensor,
    threshold: float,
    rounding_error: float,
    by_input: bool,
    infinite: bool,
) -> Tensor | None:
    """Return the gradient at `x0`, or the secant if there is no gradient at `y0`."""
    factor = y0 if grad is None else grad
    if x0.shape != y0.shape or factor.shape != y0.shape or not are_packed(x0, x1, y1, slope1, y0, factor):
        return None
    out, (span, n) = torch.empty_like(x0), element_pairs(x1, x0)
    arguments = factor, x1, y1, slope1, x0, y0, x0.numel(), span, n
    constants = {"NEAR": threshold, "ERROR": rounding_error, "BY_INPUT": by_input, "INFINITE": infinite}
    constants |= {"HAS_GRADIENT": grad is not None, "SHORT": span < BLOCK, "BLOCK": BLOCK}
    launch(_rescaled, blocks(x0.numel()), out, *arguments, **constants)
    return out
