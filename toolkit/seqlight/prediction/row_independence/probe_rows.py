"""Choose the rows of a batch that a model is run on again, and keep their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from seqlight.prediction.row_independence.tolerance import FLOAT64_STRICT

# Candidate rows of a batch, far from each other.
CANDIDATES = 7
# Rows, or a few more, from which the spread of an output is estimated.
SPREAD = 32
# Rows of more numbers than MANY are summarised by about so many; outputs of at most SMALL are compared in Python.
MANY, SMALL = 16, 256


class KeptOutput(NamedTuple):
    """One tensor of a model's output for one row.

    Attributes
    ----------
    position : int
        Which tensor of the output it is.
    output : torch.Tensor, shape (1, ...)
    spread : float
        The largest difference between rows of the batch in any number of this tensor.
    """

    position: int
    output: Tensor
    spread: float

    def surely_equals(self, found: Tensor) -> bool:
        """Return whether all rows of `found` equal this output up to rounding in float64.

        Nearly always they do, and for a few numbers this is quickest in Python. False for many numbers, and with NaN.
        """
        if found.shape[1:] != self.output.shape[1:] or found.numel() > SMALL or not found.is_floating_point():
            return False
        wanted, *_ = self.output.reshape(1, -1).tolist()
        allowed = FLOAT64_STRICT.of_spread * self.spread + FLOAT64_STRICT.of_size * max(map(abs, wanted))
        rows = found.reshape(len(found), -1).tolist()
        return all(abs(a - b) <= allowed for one in rows for a, b in zip(one, wanted, strict=True))


@lru_cache
def candidate_rows(rows: int) -> Tensor:
    """Return the numbers of some rows of a batch, the first and the last among them."""
    n = min(rows, CANDIDATES)
    return torch.tensor([i * (rows - 1) // max(n - 1, 1) for i in range(n)], device="cpu")


def summarise_rows(output: Tensor, candidates: Tensor) -> list[list[float]]:
    """Return a few numbers for each candidate row: all it has, or the largest and smallest of each of some parts."""
    rows = output[candidates].flatten(1) if output.ndim > 1 else output[candidates, None]
    if rows.shape[1] > MANY:
        width = rows.shape[1] // (MANY // 2)
        parts = rows[:, : width * (MANY // 2)].reshape(len(rows), MANY // 2, width)
        extremes = [parts.amax(dim=2), parts.amin(dim=2), *torch.aminmax(rows, dim=1, keepdim=True)]
        rows = torch.cat(extremes, dim=1)
    return [[x if x == x else 0.0 for x in row] for row in rows.tolist()]


def largest_spread(output: Tensor) -> float:
    """Return the largest difference between rows in any number of an output."""
    if output.numel() <= SMALL and output.ndim == 2:
        # In Python, which is quicker for so few numbers.
        columns: Iterator[tuple[float, ...]] = zip(*output.tolist(), strict=True)
        return max(max(column) - min(column) for column in columns)
    some = output[:: 1 + len(output) // SPREAD]
    return float((some.amax(dim=0) - some.amin(dim=0)).max())


def choose_rows(summaries: Sequence[list[list[float]]]) -> list[int]:
    """Return which candidates to run again, given their summaries in each output: one, or both if there are two.

    The one chosen has few extreme numbers: the row with the largest or smallest output in the batch keeps it in a batch
    of copies of itself. Nor is it in the middle of all, since it would be close to their mean.
    """
    rows = range(len(summaries[0]) if summaries else 0)
    if len(rows) < 3:
        return list(rows)[::-1]
    # How extreme a row is: in its numbers, its largest number and its sum.
    extremeness, sums = [0.0 for _ in rows], [sum(sum(one[row]) for one in summaries) for row in rows]
    for one in summaries:
        sizes = [max(map(abs, row)) for row in one]
        largest, columns = max(sizes), list(zip(*one, strict=True))
        for column in columns:
            high, low = max(column), min(column)
            for row in rows:
                if column[row] == high or column[row] == low:
                    extremeness[row] += 1 / len(columns)
        for row in rows:
            extremeness[row] += sizes[row] == largest
    order = sorted(rows, key=sums.__getitem__)
    extremeness[order[0]] += 1
    extremeness[order[-1]] += 1
    # Of equally extreme rows, the first in this order: from the third quartile of the sums up, then from the bottom.
    start = min(len(rows) * 3 // 4, len(rows) - 2)
    return [min(order[start:] + order[:start], key=extremeness.__getitem__)]
