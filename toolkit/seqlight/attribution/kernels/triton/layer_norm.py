"""The gradient at the input of layer norm in Triton: the twin of ``native/layer_norm.c``.

PyTorch's own layer norm is one kernel already. The plain twin, and the mathematics, are in ``rules/layer_norm.py``.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from seqlight.attribution.kernels.memory_layout import are_packed, row_pairs
from seqlight.attribution.kernels.triton.launch import launch
from seqlight.attribution.kernels.triton.pairs import partner_of
from seqlight.attribution.kernels.triton.row_blocks import blocks_of, load_columns, rows_of, store_columns


@triton.jit
def _gradient_and_middle(
    grad: tl.tensor,
    weight: tl.tensor,
    x1: tl.tensor,
    x0: tl.tensor,
    row: tl.tensor,
    mate: tl.tensor,
    among: tl.tensor,
    middle: tl.tensor,
    start: tl.tensor,
    width: tl.tensor,
    WEIGHTED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """Return the gradient times the weight, and the midpoint of both inputs minus that of both means."""
    g = load_columns(grad, row, among, start, width, 0.0, BLOCK)
    if WEIGHTED:
        j = start + tl.arange(0, BLOCK)
        g *= tl.load(weight + j, j < width, 0.0)[None, :]
    a1 = load_columns(x1, mate, among, start, width, 0.0, BLOCK)
    a0 = load_columns(x0, row, among, start, width, 0.0, BLOCK)
    return g, (a1 + a0) * 0.5 - middle[:, None]


@triton.jit(do_not_specialize=["count", "span", "n"])
def _gradients(
    out: tl.tensor,
    grad: tl.tensor,
    weight: tl.tensor,
    x1: tl.tensor,
    mean1: tl.tensor,
    rate1: tl.tensor,
    x0: tl.tensor,
    mean0: tl.tensor,
    rate0: tl.tensor,
    count: tl.tensor,
    width: tl.tensor,
    span: tl.tensor,
    n: tl.tensor,
    WEIGHTED: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    row, among = rows_of(count, ROWS)
    mate = partner_of(row, span, n)
    middle = (tl.load(mean1 + mate, among, 0.0) + tl.load(mean0 + row, among, 0.0)) * 0.5
    r1, r0 = tl.load(rate1 + mate, among, 1.0), tl.load(rate0 + row, among, 1.0)
    sum_ = tl.zeros((ROWS,), r0.dtype)
    along = sum_
    for start in range(0, width, BLOCK):
        g, centred = _gradient_and_middle(grad, weight, x1, x0, row, mate, among, middle, start, width, WEIGHTED, BLOCK)
        sum_ += tl.sum(g, 1)
        along += tl.sum(g * centred, 1)  # outside there is no gradient
    both = r1 * r0
    mean, rise, rate = sum_ / width, along / width * (-2 * both * both / (r1 + r0)), (r1 + r0) * 0.5
    for start in range(0, width, BLOCK):
        g, centred = _gradient_and_middle(grad, weight, x1, x0, row, mate, among, middle, start, width, WEIGHTED, BLOCK)
        found = rate[:, None] * (g - mean[:, None]) + centred * rise[:, None]
        store_columns(out, found, row, among, start, width, BLOCK)


def layer_norm_vjp(
    grad: Tensor, weight: Tensor | None, recorded: tuple[Tensor, Tensor, Tensor], reference: tuple[Tensor, ...]
) -> Tensor | None:
    """Return the gradient at the input of a layer norm over the last dimension, or None.

    Parameters are those of ``kernels.layer_norm.layer_norm_vjp``.
    """
    grad, x0 = grad.contiguous(), reference[0]
    if not are_packed(grad, *recorded, *reference, *(() if weight is None else (weight,))):
        return None
    pairs = row_pairs(recorded[0], x0)
    if pairs is None:
        return None
    out, (programs, constants) = torch.empty_like(grad), blocks_of(x0)
    tensors = grad, grad if weight is None else weight, *recorded, *reference
    sizes = x0.shape[:-1].numel(), x0.shape[-1], *pairs
    launch(_gradients, programs, out, *tensors, *sizes, WEIGHTED=weight is not None, **constants)
    return out
