"""Attention in Triton, and its gradients by the mean Jacobian: the twin of ``native/attention.c``.

Nothing of the size of queries times keys is ever in memory, neither of the references nor of the sequences: a program
goes over the keys, or the queries, a block at a time, and computes scores again when it needs them. Of each row of
scores the largest is kept, and the sum of exponentials divided by that of the largest. Every number is summed in one
order, whatever lies beside it in the batch, so that bits do not depend on that, and equal rows have equal scores.

The plain twin, and the mathematics, are in ``rules/attention.py`` and ``rules/softmax.py``. Gradients come in two
kernels: one for each block of queries, one for each block of keys. Online softmax and this division of labour are
those of Dao (2023), FlashAttention-2.
"""

from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from triton.language import tensor

from seqlight.attribution.kernels.attention import (
    Operands,
    Recording,
    Settings,
    empty_gradients,
    empty_output,
    head_pairs,
    heads,
    require_pairs,
)
from seqlight.attribution.kernels.triton.attention_tiles import (
    head_of,
    load_row_sums,
    load_rows,
    scores_of,
    store_rows,
    weights_of,
)
from seqlight.attribution.kernels.triton.launch import launch
from seqlight.attribution.kernels.triton.mean_weights import mean_exponentials, rise_of, secants_of
from seqlight.attribution.kernels.triton.pairs import partner_of

#: What the blocks of heads of 128 take of a multiprocessor's own memory, in bytes; of those of 64 it is half as much.
ROOM = 100_352


@triton.jit
def _forward(
    y: tensor, q: tensor, k: tensor, v: tensor, bias: tensor, sums: tensor,
    count: tensor, queries: tensor, keys: tensor, width: tensor, values: tensor,
    qo: tensor, qh: tensor, qp: tensor, ko: tensor, kh: tensor, kp: tensor, vo: tensor, vh: tensor, vp: tensor,
    yo: tensor, yh: tensor, yp: tensor,
    bo: tensor, bh: tensor, bp: tensor, bk: tensor, scale: tensor,
    HAS_BIAS: tl.constexpr, ROWS: tl.constexpr,
    WIDTH: tl.constexpr, VALUES: tl.constexpr, PRECISION: tl.constexpr,
) -> None:  # fmt: skip
    blocks = tl.cdiv(queries, ROWS)
    head = (tl.program_id(0) // blocks).to(tl.int64)
    first = (tl.program_id(0) % blocks) * ROWS
    mine = load_rows(head_of(q, head, count, qo, qh), first, queries, qp, width, ROWS, WIDTH) * scale
    k, v, y = head_of(k, head, count, ko, kh), head_of(v, head, count, vo, vh), head_of(y, head, count, yo, yh)
    bias = head_of(bias, head, count, bo, bh)
    largest = tl.full((ROWS,), float("-inf"), tl.float32)
    total, found = tl.zeros((ROWS,), tl.float32), tl.zeros((ROWS, VALUES), tl.float32)
    for start in range(0, keys, ROWS):
        theirs = load_rows(k, start, keys, kp, width, ROWS, WIDTH)
        a = scores_of(mine, theirs, bias, first, start, queries, keys, bp, bk, HAS_BIAS, ROWS, PRECISION)
        most = tl.maximum(largest, tl.max(a, 1))
        shift = tl.where(most == float("-inf"), 0.0, most)
        shrink, e = tl.exp(largest - shift), tl.exp(a - shift[:, None])
        total, largest = total * shrink + tl.sum(e, 1), most
        averaged = tl.dot(e, load_rows(v, start, keys, vp, values, ROWS, VALUES), input_precision=PRECISION)
        found = found * shrink[:, None] + averaged
    found = found * (1 / tl.where(total == 0, 1.0, total))[:, None]
    store_rows(y, found, first, queries, yp, values, ROWS, VALUES)
    i = first + tl.arange(0, ROWS)
    at = sums + (head * queries + i) * 2
    tl.store(at, largest, i < queries)
    tl.store(at + 1, total, i < queries)


@triton.jit(do_not_specialize=["span", "n"])
def _query_gradients(
    at_q: tensor, along: tensor, g: tensor, q0: tensor, k0: tensor, v0: tensor, b0: tensor, sums0: tensor,
    q1: tensor, k1: tensor, v1: tensor, b1: tensor, sums1: tensor,
    span: tensor, n: tensor, count0: tensor, count1: tensor, queries: tensor, keys: tensor, width: tensor,
    values: tensor,
    go: tensor, gh: tensor, gp: tensor, qo0: tensor, qh0: tensor, qp0: tensor, ko0: tensor, kh0: tensor, kp0: tensor,
    vo0: tensor, vh0: tensor, vp0: tensor, bo0: tensor, bh0: tensor, bp0: tensor, bk0: tensor, qo1: tensor,
    qh1: tensor, qp1: tensor,
    ko1: tensor, kh1: tensor, kp1: tensor, vo1: tensor, vh1: tensor, vp1: tensor, bo1: tensor, bh1: tensor,
    bp1: tensor, bk1: tensor,
    ao: tensor, ah: tensor, ap: tensor, scale: tensor,
    NEARNESS: tl.constexpr, HAS_BIAS: tl.constexpr, ROWS: tl.constexpr,
    WIDTH: tl.constexpr, VALUES: tl.constexpr, PRECISION: tl.constexpr,
) -> None:  # fmt: skip
    """Write the gradients at some queries; and of each the sum of the gradients at its weights, times their secants."""
    blocks = tl.cdiv(queries, ROWS)
    head = (tl.program_id(0) // blocks).to(tl.int64)
    first = (tl.program_id(0) % blocks) * ROWS
    mate = partner_of(head, span, n)
    grad = load_rows(head_of(g, head, count0, go, gh), first, queries, gp, values, ROWS, VALUES)
    mine0 = load_rows(head_of(q0, head, count0, qo0, qh0), first, queries, qp0, width, ROWS, WIDTH) * scale
    mine1 = load_rows(head_of(q1, mate, count1, qo1, qh1), first, queries, qp1, width, ROWS, WIDTH) * scale
    k0, k1 = head_of(k0, head, count0, ko0, kh0), head_of(k1, mate, count1, ko1, kh1)
    v0, v1 = head_of(v0, head, count0, vo0, vh0), head_of(v1, mate, count1, vo1, vh1)
    b0, b1 = head_of(b0, head, count0, bo0, bh0), head_of(b1, mate, count1, bo1, bh1)
    largest0, total0 = load_row_sums(sums0, head, first, queries, ROWS)
    largest1, total1 = load_row_sums(sums1, mate, first, queries, ROWS)
    d = rise_of(largest1, total1, largest0, total0)
    above, below = mean_exponentials(d)
    sum_ = tl.zeros((ROWS,), tl.float32)
    by_secant, by_weight = tl.zeros((ROWS, WIDTH), tl.float32), tl.zeros((ROWS, WIDTH), tl.float32)
    for start in range(0, keys, ROWS):
        theirs0 = load_rows(k0, start, keys, kp0, width, ROWS, WIDTH)
        theirs1 = load_rows(k1, start, keys, kp1, width, ROWS, WIDTH)
        a0 = scores_of(mine0, theirs0, b0, first, start, queries, keys, bp0, bk0, HAS_BIAS, ROWS, PRECISION)
        a1 = scores_of(mine1, theirs1, b1, first, start, queries, keys, bp1, bk1, HAS_BIAS, ROWS, PRECISION)
        p0, p1 = weights_of(a0, largest0, total0), weights_of(a1, largest1, total1)
        taken, secant = secants_of(a1, p1, a0, p0, d[:, None], above[:, None], below[:, None], NEARNESS)
        value = load_rows(v0, start, keys, vp0, values, ROWS, VALUES) + load_rows(
            v1, start, keys, vp1, values, ROWS, VALUES
        )
        secant *= tl.dot(grad, tl.trans(value * 0.5), input_precision=PRECISION)
        half = (theirs0 + theirs1) * 0.5
        sum_ += tl.sum(secant, 1)
        by_secant += tl.dot(secant, half, input_precision=PRECISION)
        by_weight += tl.dot(taken, half, input_precision=PRECISION)
    found = (by_secant - sum_[:, None] * by_weight) * scale
    store_rows(head_of(at_q, head, count0, ao, ah), found, first, queries, ap, width, ROWS, WIDTH)
    i = first + tl.arange(0, ROWS)
    tl.store(along + head * queries + i, sum_, i < queries)


@triton.jit(do_not_specialize=["span", "n"])
def _key_gradients(
    at_k: tensor, at_v: tensor, along: tensor, g: tensor, q0: tensor, k0: tensor, v0: tensor, b0: tensor, sums0: tensor,
    q1: tensor, k1: tensor, v1: tensor, b1: tensor, sums1: tensor,
    span: tensor, n: tensor, count0: tensor, count1: tensor, queries: tensor, keys: tensor, width: tensor,
    values: tensor,
    go: tensor, gh: tensor, gp: tensor, qo0: tensor, qh0: tensor, qp0: tensor, ko0: tensor, kh0: tensor, kp0: tensor,
    vo0: tensor, vh0: tensor, vp0: tensor, bo0: tensor, bh0: tensor, bp0: tensor, bk0: tensor, qo1: tensor,
    qh1: tensor, qp1: tensor,
    ko1: tensor, kh1: tensor, kp1: tensor, vo1: tensor, vh1: tensor, vp1: tensor, bo1: tensor, bh1: tensor,
    bp1: tensor, bk1: tensor,
    ao: tensor, ah: tensor, ap: tensor, eo: tensor, eh: tensor, ep: tensor, scale: tensor,
    NEARNESS: tl.constexpr, HAS_BIAS: tl.constexpr, ROWS: tl.constexpr,
    WIDTH: tl.constexpr, VALUES: tl.constexpr, PRECISION: tl.constexpr,
) -> None:  # fmt: skip
    """Write the gradients at some keys and values, with the sums that came with those at the queries."""
    blocks = tl.cdiv(keys, ROWS)
    head = (tl.program_id(0) // blocks).to(tl.int64)
    first = (tl.program_id(0) % blocks) * ROWS
    mate = partner_of(head, span, n)
    g, along = head_of(g, head, count0, go, gh), along + head * queries
    q0, q1 = head_of(q0, head, count0, qo0, qh0), head_of(q1, mate, count1, qo1, qh1)
    b0, b1 = head_of(b0, head, count0, bo0, bh0), head_of(b1, mate, count1, bo1, bh1)
    mine0 = load_rows(head_of(k0, head, count0, ko0, kh0), first, keys, kp0, width, ROWS, WIDTH)
    mine1 = load_rows(head_of(k1, mate, count1, ko1, kh1), first, keys, kp1, width, ROWS, WIDTH)
    value = load_rows(head_of(v0, head, count0, vo0, vh0), first, keys, vp0, values, ROWS, VALUES)
    value = (value + load_rows(head_of(v1, mate, count1, vo1, vh1), first, keys, vp1, values, ROWS, VALUES)) * 0.5
    key, averaged = tl.zeros((ROWS, WIDTH), tl.float32), tl.zeros((ROWS, VALUES), tl.float32)
    for start in range(0, queries, ROWS):
        theirs0 = load_rows(q0, start, queries, qp0, width, ROWS, WIDTH) * scale
        theirs1 = load_rows(q1, start, queries, qp1, width, ROWS, WIDTH) * scale
        a0 = scores_of(theirs0, mine0, b0, start, first, queries, keys, bp0, bk0, HAS_BIAS, ROWS, PRECISION)
        a1 = scores_of(theirs1, mine1, b1, start, first, queries, keys, bp1, bk1, HAS_BIAS, ROWS, PRECISION)
        largest0, total0 = load_row_sums(sums0, head, start, queries, ROWS)
        largest1, total1 = load_row_sums(sums1, mate, start, queries, ROWS)
        p0, p1 = weights_of(a0, largest0, total0), weights_of(a1, largest1, total1)
        d = rise_of(largest1, total1, largest0, total0)
        above, below = mean_exponentials(d)
        taken, secant = secants_of(a1, p1, a0, p0, d[:, None], above[:, None], below[:, None], NEARNESS)
        grad = load_rows(g, start, queries, gp, values, ROWS, VALUES)
        i = start + tl.arange(0, ROWS)
        sum_ = tl.load(along + i, i < queries, 0.0)
        back = secant * tl.dot(grad, tl.trans(value), input_precision=PRECISION) - taken * sum_[:, None]
        key += tl.dot(tl.trans(back), (theirs0 + theirs1) * 0.5, input_precision=PRECISION)
        averaged += tl.dot(tl.trans((p0 + p1) * 0.5), grad, input_precision=PRECISION)
    store_rows(head_of(at_k, head, count0, ao, ah), key, first, keys, ap, width, ROWS, WIDTH)
    store_rows(head_of(at_v, head, count0, eo, eh), averaged, first, keys, ep, values, ROWS, VALUES)


def observe(operands: Operands, settings: Settings) -> tuple[Tensor, Recording] | None:
    """Return the attention of the sequences, and what to record of them; or None."""
    found = attend(operands, settings)
    return None if found is None else (found[0], Recording(*operands, None, None, found[1], settings.bias))


def attend(operands: Operands, settings: Settings) -> tuple[Tensor, Tensor] | None:
    """Return the attention of the references, and of each row its largest score and sum of exponentials; or None."""
    if not suits(operands, settings.bias):
        return None
    y, (bias, *bias_strides) = empty_output(operands), _bias_of_heads(settings.bias, operands)
    (q, k, v), out = map(heads, operands), heads(y)
    sums = q.new_empty((*operands.query.shape[:-1], 2))
    sizes = q.shape[1], q.shape[2], k.shape[2], q.shape[3], v.shape[3]
    strides = [number for one in (q, k, v, out) for number in one.stride()[:3]]
    constants = _constants(operands, settings)
    programs = out.shape[:2].numel() * triton.cdiv(q.shape[2], constants["ROWS"])
    numbers = *sizes, *strides, *bias_strides, float(settings.scale)
    launch(_forward, programs, out, q, k, v, bias, sums, *numbers, **constants)
    return y, sums


def attention_vjp(
    grad: Tensor, seen: Recording, operands: Operands, sums: Tensor, settings: Settings, nearness: float
) -> Operands | None:
    """Return the gradients at query, key and value of the references, for `grad`, that at their attention; or None.

    Parameters
    ----------
    grad : torch.Tensor, shape (..., positions, width)
    seen : Recording
        What :func:`observe` returned for the sequences.
    operands : Operands
        Those of the references.
    sums : torch.Tensor
        What :func:`attend` returned beside their attention.
    settings : Settings
        Those that it was called with.
    nearness : float
        The square of the step at which the quotient and the mean of two softmaxes count the same.
    """
    require_pairs(seen, operands)
    if seen.scores is not None:  # these are not the sums of a kernel, as where that failed
        return None
    mates = Operands(*seen[:3])
    (q0, k0, v0), (q1, k1, v1), g = map(heads, operands), map(heads, mates), heads(grad)
    (b0, *bias0), (b1, *bias1) = _bias_of_heads(settings.bias, operands), _bias_of_heads(seen.bias, mates)
    found = empty_gradients(operands)
    at_q, at_k, at_v = (
        one if one.ndim == 4 else one.view(-1, *of.shape[1:]) for one, of in zip(found, (q0, k0, v0), strict=True)
    )
    along = q0.new_empty(q0.shape[:3])
    sizes = *head_pairs(seen.query, operands.query), q0.shape[1], q1.shape[1], q0.shape[2], k0.shape[2]
    laid = [one.stride()[:3] for one in (g, q0, k0, v0)], [one.stride()[:3] for one in (q1, k1, v1)]
    strides = *(x for one in laid[0] for x in one), *bias0, *(x for one in laid[1] for x in one), *bias1
    tensors = along, g, q0, k0, v0, b0, sums, q1, k1, v1, b1, seen.sums
    numbers = *sizes, q0.shape[3], v0.shape[3], *strides
    constants = _constants(operands, settings) | {"NEARNESS": nearness}
    count, scale = q0.shape[:2].numel(), float(settings.scale)
    of_queries, of_keys = (count * triton.cdiv(one.shape[2], constants["ROWS"]) for one in (q0, k0))
    launch(_query_gradients, of_queries, at_q, *tensors, *numbers, *at_q.stride()[:3], scale, **constants)
    ends = *at_k.stride()[:3], *at_v.stride()[:3]
    launch(_key_gradients, of_keys, at_k, at_v, *tensors, *numbers, *ends, scale, **constants)
    return found


def suits(operands: Operands, bias: Tensor | None) -> bool:
    """Return whether the kernels take these operands: of float32, not empty, on one device, and not too wide."""
    device, fixed = operands.query.device, () if bias is None else (bias,)
    return (
        all(one.dtype == torch.float32 and one.device == device and not one.is_neg() for one in (*operands, *fixed))
        and all(one.numel() and one.layout == torch.strided for one in operands)
        and max(operands.query.shape[-1], operands.value.shape[-1]) <= widest_heads(device)
        and (bias is None or type(bias) in (Tensor, nn.Parameter))
    )


@cache
def widest_heads(device: torch.device) -> int:
    """Return the width of heads whose blocks fit into the memory of a multiprocessor."""
    if device.type != "cuda":
        return 128
    room = getattr(torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", 0)
    return 128 if room >= ROOM else 64


def _constants(operands: Operands, settings: Settings) -> dict[str, Any]:
    """Return what kernels are compiled for."""
    width, values = (max(16, triton.next_power_of_2(one.shape[-1])) for one in (operands.query, operands.value))
    return {
        "HAS_BIAS": settings.bias is not None,
        # As many as do not need more registers than there are.
        "ROWS": 32 if max(width, values) <= 32 else 16,
        "WIDTH": width,
        "VALUES": values,
        "PRECISION": "ieee",
        # Matrix products are sums of many; rounding each product as well takes twice the time.
        "enable_fp_fusion": True,
        "num_warps": 8,
    }


def _bias_of_heads(bias: Tensor | None, operands: Operands) -> tuple[Tensor, int, int, int, int]:
    """Return the bias, and its strides for each head, which are 0 where it is the same for several."""
    if bias is None:
        return operands.query, 0, 0, 0, 0
    full = bias.expand(*operands.query.shape[:-1], operands.key.shape[-2])
    full = full.unsqueeze(1) if full.ndim == 3 else full.reshape(-1, *full.shape[-3:])
    return full, *full.stride()  # type: ignore[return-value]
