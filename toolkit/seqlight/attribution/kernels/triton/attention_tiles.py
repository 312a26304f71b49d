"""What the kernels of attention share: blocks of rows of a head, their scores and weights."""

import triton
import triton.language as tl


@triton.jit
def head_of(x: tl.tensor, head: tl.tensor, count: tl.tensor, outer: tl.tensor, inner: tl.tensor) -> tl.tensor:
    """Return the address of a head, of `count` in each outer place."""
    return x + head // count * outer + head % count * inner


@triton.jit
def load_rows(
    x: tl.tensor,
    first: tl.tensor,
    count: tl.tensor,
    stride: tl.tensor,
    width: tl.tensor,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """Return the rows from `first` of (count, width), and zeros outside."""
    i, c = first + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    inside = (i < count)[:, None] & (c < width)[None, :]
    return tl.load(x + i.to(tl.int64)[:, None] * stride + c[None, :], inside, 0.0)


@triton.jit
def store_rows(
    x: tl.tensor,
    value: tl.tensor,
    first: tl.tensor,
    count: tl.tensor,
    stride: tl.tensor,
    width: tl.tensor,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Write the rows from `first` of (count, width)."""
    i, c = first + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    inside = (i < count)[:, None] & (c < width)[None, :]
    tl.store(x + i.to(tl.int64)[:, None] * stride + c[None, :], value, inside)


@triton.jit
def scores_of(
    q: tl.tensor,
    k: tl.tensor,
    bias: tl.tensor,
    first_query: tl.tensor,
    first_key: tl.tensor,
    queries: tl.tensor,
    keys: tl.tensor,
    down: tl.tensor,
    along: tl.tensor,
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
) -> tl.tensor:
    """Return a block of scores of scaled queries; keys beyond the last have minus infinity."""
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    i, j = first_query + tl.arange(0, ROWS), first_key + tl.arange(0, ROWS)
    if HAS_BIAS:
        inside = (i < queries)[:, None] & (j < keys)[None, :]
        at = i.to(tl.int64)[:, None] * down + j.to(tl.int64)[None, :] * along
        scores += tl.load(bias + at, inside, 0.0)
    return tl.where((j < keys)[None, :], scores, float("-inf"))


@triton.jit
def load_row_sums(
    sums: tl.tensor, head: tl.tensor, first: tl.tensor, queries: tl.tensor, ROWS: tl.constexpr
) -> tl.tensor:
    """Return the largest score of each row, and the sum of exponentials divided by that of the largest."""
    i = first + tl.arange(0, ROWS)
    at, inside = sums + (head * queries + i) * 2, i < queries
    # Triton 3.2 does not compile a load in a loop that fills in anything but 0.
    return tl.load(at, inside, 0.0), tl.where(inside, tl.load(at + 1, inside, 0.0), 1.0)


@triton.jit
def weights_of(scores: tl.tensor, largest: tl.tensor, total: tl.tensor) -> tl.tensor:
    """Return the softmax of a block of scores; a row from which all is hidden has zeros."""
    shift = tl.where(largest == float("-inf"), 0.0, largest)
    return tl.exp(scores - shift[:, None]) * (1 / tl.where(total == 0, 1.0, total))[:, None]
