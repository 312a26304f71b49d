"""Which rows of a batch to ask a model for again, and how far its outputs lie apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from seqlight.prediction.row_independence.tolerance import FINEST

# So many rows of a batch, far from each other, are looked at to choose one.
CANDIDATES = 7
# How far rows lie apart is seen from so many of them, or a few more.
SPREAD = 32
# Rows of more numbers are described by so many, and outputs of no more in all are looked at in Python.
MANY, SMALL = 16, 256


class Row(NamedTuple):
    """What a model made of a row of a batch in one of its tensors, and how far the rows lie apart there."""

    place: int
    output: Tensor
    spread: float

    def has_again(self, found: Tensor) -> bool:
        """Return whether few numbers are what they were up to rounding, whatever the model computes in.

        Nearly always they are, and in Python that is soon said. Of many, or what is no number, it says nothing.
        """
        if found.shape[1:] != self.output.shape[1:] or found.numel() > SMALL or not found.is_floating_point():
            return False
        wanted, *_ = self.output.reshape(1, -1).tolist()
        allowed = FINEST.difference * self.spread + FINEST.size * max(map(abs, wanted))
        rows = found.reshape(len(found), -1).tolist()
        return all(abs(a - b) <= allowed for one in rows for a, b in zip(one, wanted, strict=True))


@lru_cache
def candidate_places(rows: int) -> Tensor:
    """Return the places of some of so many rows, the first and the last among them."""
    n = min(rows, CANDIDATES)
    return torch.tensor([i * (rows - 1) // max(n - 1, 1) for i in range(n)], device="cpu")


def few_numbers(output: Tensor, places: Tensor) -> list[list[float]]:
    """Return few numbers of each of some rows: of many, the largest and the least of each of some parts."""
    rows = output[places].flatten(1) if output.ndim > 1 else output[places, None]
    if rows.shape[1] > MANY:
        width = rows.shape[1] // (MANY // 2)
        parts = rows[:, : width * (MANY // 2)].reshape(len(rows), MANY // 2, width)
        ends = [parts.amax(dim=2), parts.amin(dim=2), *torch.aminmax(rows, dim=1, keepdim=True)]
        rows = torch.cat(ends, dim=1)
    return [[x if x == x else 0.0 for x in row] for row in rows.tolist()]


def spread_of(output: Tensor) -> float:
    """Return how far rows lie apart at most in a number."""
    if output.numel() <= SMALL and output.ndim == 2:
        # In Python, which is quicker for so few.
        columns: Iterator[tuple[float, ...]] = zip(*output.tolist(), strict=True)
        return max(max(column) - min(column) for column in columns)
    some = output[:: 1 + len(output) // SPREAD]
    return float((some.amax(dim=0) - some.amin(dim=0)).max())


def places_to_ask(outputs: Sequence[list[list[float]]]) -> list[int]:
    """Return which of some rows to ask for again: of two rows both.

    Neither the largest nor the least by its output, for beside itself that is so too; nor like the mean of all.
    """
    rows = range(len(outputs[0]) if outputs else 0)
    if len(rows) < 3:
        return list(rows)[::-1]
    # In how many of its numbers, in all, and by its largest, a row is at the end.
    ends, sums = [0.0 for _ in rows], [sum(sum(one[row]) for one in outputs) for row in rows]
    for one in outputs:
        sizes = [max(map(abs, row)) for row in one]
        largest, columns = max(sizes), list(zip(*one, strict=True))
        for column in columns:
            high, low = max(column), min(column)
            for row in rows:
                if column[row] == high or column[row] == low:
                    ends[row] += 1 / len(columns)
        for row in rows:
            ends[row] += sizes[row] == largest
    order = sorted(rows, key=sums.__getitem__)
    ends[order[0]] += 1
    ends[order[-1]] += 1
    start = min(len(rows) * 3 // 4, len(rows) - 2)
    return [min(order[start:] + order[:start], key=ends.__getitem__)]
