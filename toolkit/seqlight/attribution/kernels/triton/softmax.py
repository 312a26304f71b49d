"""The multipliers of softmax in Triton, and the gradient at its input: the twin of ``native/softmax.c``.

A kernel goes over each row twice: for its largest numbers, or for a sum, and for the result. The plain twins, and the
mathematics, are in ``rules/softmax.py``.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlight.attribution.kernels.memory_layout import are_packed, row_pairs
from seqlight.attribution.kernels.triton.launch import launch
from seqlight.attribution.kernels.triton.mean_weights import mean_exponentials, rise_of, secants_of
from seqlight.attribution.kernels.triton.pairs import partner_of
from seqlight.attribution.kernels.triton.row_blocks import blocks_of, load_columns, rows_of, store_columns


@triton.jit
def _rise(
    x1: tl.tensor,
    p1: tl.tensor,
    x0: tl.tensor,
    p0: tl.tensor,
    row: tl.tensor,
    mate: tl.tensor,
    among: tl.tensor,
    width: tl.tensor,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """Return the difference of logsumexps, from the inputs and softmaxes where these are largest."""
    nothing = tl.full((ROWS,), float("-inf"), x0.dtype.element_ty)
    a1, q1, a0, q0 = nothing, nothing, nothing, nothing
    for start in range(0, width, BLOCK):
        a1 = tl.maximum(a1, tl.max(load_columns(x1, mate, among, start, width, float("-inf"), BLOCK), 1))
        q1 = tl.maximum(q1, tl.max(load_columns(p1, mate, among, start, width, 0.0, BLOCK), 1))
        a0 = tl.maximum(a0, tl.max(load_columns(x0, row, among, start, width, float("-inf"), BLOCK), 1))
        q0 = tl.maximum(q0, tl.max(load_columns(p0, row, among, start, width, 0.0, BLOCK), 1))
    # The sum of exponentials over the largest is the reciprocal of the largest softmax. Rows outside have none.
    return rise_of(a1, tl.where(among, q0, 1.0), a0, tl.where(among, q1, 1.0))


@triton.jit
def _secants(
    x1: tl.tensor,
    p1: tl.tensor,
    x0: tl.tensor,
    p0: tl.tensor,
    row: tl.tensor,
    mate: tl.tensor,
    among: tl.tensor,
    d: tl.tensor,
    start: tl.tensor,
    width: tl.tensor,
    NEARNESS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """Return the weights of logsumexp, the secant of softmax over log_softmax, and the mean of both softmaxes."""
    above, below = mean_exponentials(d)
    q1 = load_columns(p1, mate, among, start, width, 0.0, BLOCK)
    q0 = load_columns(p0, row, among, start, width, 0.0, BLOCK)
    a1 = load_columns(x1, mate, among, start, width, 0.0, BLOCK)
    a0 = load_columns(x0, row, among, start, width, 0.0, BLOCK)
    weight, slope = secants_of(a1, q1, a0, q0, d[:, None], above[:, None], below[:, None], NEARNESS)
    return weight, slope, (q1 + q0) * 0.5


@triton.jit(do_not_specialize=["count", "span", "n"])
def _multipliers(
    weights: tl.tensor,
    slopes: tl.tensor,
    x1: tl.tensor,
    p1: tl.tensor,
    x0: tl.tensor,
    p0: tl.tensor,
    count: tl.tensor,
    width: tl.tensor,
    span: tl.tensor,
    n: tl.tensor,
    NEARNESS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row, among = rows_of(count, ROWS)
    mate = partner_of(row, span, n)
    d = _rise(x1, p1, x0, p0, row, mate, among, width, ROWS, BLOCK)
    for start in range(0, width, BLOCK):
        weight, slope, _ = _secants(x1, p1, x0, p0, row, mate, among, d, start, width, NEARNESS, BLOCK)
        store_columns(weights, weight, row, among, start, width, BLOCK)
        store_columns(slopes, slope, row, among, start, width, BLOCK)


@triton.jit(do_not_specialize=["count"])
def _gradients(
    out: tl.tensor,
    grad: tl.tensor,
    weights: tl.tensor,
    slopes: tl.tensor,
    count: tl.tensor,
    width: tl.tensor,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row, among = rows_of(count, ROWS)
    sum_ = tl.zeros((ROWS,), grad.dtype.element_ty)
    for start in range(0, width, BLOCK):
        slope = load_columns(slopes, row, among, start, width, 0.0, BLOCK)
        sum_ += tl.sum(load_columns(grad, row, among, start, width, 0.0, BLOCK) * slope, 1)
    for start in range(0, width, BLOCK):
        slope = load_columns(slopes, row, among, start, width, 0.0, BLOCK)
        found = load_columns(grad, row, among, start, width, 0.0, BLOCK) * slope
        found -= load_columns(weights, row, among, start, width, 0.0, BLOCK) * sum_[:, None]
        store_columns(out, found, row, among, start, width, BLOCK)


@triton.jit(do_not_specialize=["count", "span", "n"])
def _gradients_in_place(
    grad: tl.tensor,
    means: tl.tensor,
    x1: tl.tensor,
    p1: tl.tensor,
    x0: tl.tensor,
    p0: tl.tensor,
    count: tl.tensor,
    width: tl.tensor,
    span: tl.tensor,
    n: tl.tensor,
    NEARNESS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row, among = rows_of(count, ROWS)
    mate = partner_of(row, span, n)
    d = _rise(x1, p1, x0, p0, row, mate, among, width, ROWS, BLOCK)
    sum_ = tl.zeros((ROWS,), grad.dtype.element_ty)
    for start in range(0, width, BLOCK):
        _, slope, _ = _secants(x1, p1, x0, p0, row, mate, among, d, start, width, NEARNESS, BLOCK)
        sum_ += tl.sum(load_columns(grad, row, among, start, width, 0.0, BLOCK) * slope, 1)
    for start in range(0, width, BLOCK):
        weight, slope, mean = _secants(x1, p1, x0, p0, row, mate, among, d, start, width, NEARNESS, BLOCK)
        found = load_columns(grad, row, among, start, width, 0.0, BLOCK) * slope - weight * sum_[:, None]
        store_columns(grad, found, row, among, start, width, BLOCK)
        store_columns(means, mean, row, among, start, width, BLOCK)


def softmax_multipliers(
    recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], nearness: float
) -> tuple[Tensor, Tensor] | None:
    """Return the weights of logsumexp, and the secant of softmax over log_softmax; or None.

    Parameters are those of ``kernels.softmax.softmax_multipliers``.
    """
    x0, pairs = reference[0], _row_pairs(recorded, reference)
    if pairs is None:
        return None
    weights, slopes = torch.empty_like(x0), torch.empty_like(x0)
    programs, constants = blocks_of(x0)
    arguments = slopes, *recorded, *reference, x0.shape[:-1].numel(), x0.shape[-1], *pairs
    launch(_multipliers, programs, weights, *arguments, NEARNESS=nearness, **constants)
    return weights, slopes


def softmax_vjp(grad: Tensor, weights: Tensor, slope: Tensor) -> Tensor | None:
    """Return the gradient at the input of softmax over the last dimension, or None."""
    grad = grad.contiguous()
    if not are_packed(grad, weights, slope):
        return None
    out, (programs, constants) = torch.empty_like(grad), blocks_of(grad)
    launch(_gradients, programs, out, grad, weights, slope, grad.shape[:-1].numel(), grad.shape[-1], **constants)
    return out


def softmax_vjp_in_place(
    grad: Tensor, recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], nearness: float
) -> Tensor | None:
    """Return the mean of both softmaxes, and write the gradient at the input over `grad`; or None.

    Parameters are those of ``kernels.softmax.softmax_vjp_in_place``.
    """
    x0, pairs = reference[0], _row_pairs(recorded, reference)
    if pairs is None or not are_packed(grad, x0):
        return None
    mean = torch.empty_like(x0)
    programs, constants = blocks_of(x0)
    arguments = mean, *recorded, *reference, x0.shape[:-1].numel(), x0.shape[-1], *pairs
    launch(_gradients_in_place, programs, grad, *arguments, NEARNESS=nearness, **constants)
    return mean


def _row_pairs(recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor]) -> tuple[int, int] | None:
    return row_pairs(recorded[0], reference[0]) if are_packed(*reference, *recorded) else None
