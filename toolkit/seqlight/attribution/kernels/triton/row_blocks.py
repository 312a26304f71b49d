"""Blocks of rows, for kernels that compute one row after the other: some short ones at a time, or a part of a long one.

A kernel goes over the columns in a loop, so that a row may be of any length.
"""

import triton
import triton.language as tl
from torch import Tensor

#: How many elements a program has at a time.
BLOCK = 2048


@triton.jit
def rows_of(count: tl.tensor, ROWS: tl.constexpr) -> tl.tensor:
    """Return the rows of this program, and whether each is among `count`."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    return row, row < count


@triton.jit
def load_columns(
    x: tl.tensor,
    row: tl.tensor,
    among: tl.tensor,
    start: tl.tensor,
    width: tl.tensor,
    other: tl.tensor,
    BLOCK: tl.constexpr,
) -> tl.tensor:
    """Return some columns of rows of `width`, and `other` outside."""
    j = start + tl.arange(0, BLOCK)
    return tl.load(x + row[:, None] * width + j[None, :], among[:, None] & (j < width)[None, :], other)


@triton.jit
def store_columns(
    x: tl.tensor,
    value: tl.tensor,
    row: tl.tensor,
    among: tl.tensor,
    start: tl.tensor,
    width: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """Write some columns of rows of `width`."""
    j = start + tl.arange(0, BLOCK)
    tl.store(x + row[:, None] * width + j[None, :], value, among[:, None] & (j < width)[None, :])


def blocks_of(x: Tensor) -> tuple[int, dict[str, int]]:
    """Return how many programs cover the rows of a packed tensor, and the constants of their blocks.

    With 8 warps, a thread has half as many elements as with Triton's 4: those of float64 need more registers than there
    are, and those of float32 so many that few programs run at a time.
    """
    block = min(triton.next_power_of_2(x.shape[-1]), BLOCK)
    rows = BLOCK // block
    return int(triton.cdiv(x.shape[:-1].numel(), rows)), {"ROWS": rows, "BLOCK": block, "num_warps": 8}
