"""Recognize sparsemax and entmax by their results, however they are written, and explain them in closed form.

Written in operations, both count the numbers above a threshold, through which no gradient goes; published as a function
with a backward pass of its own, they are opaque. So what might be one of them is compared with both: at the sequences,
at the references, and half way in between. If all numbers agree, the mean Jacobian is that of ``simplex_paths.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.rules.simplex_paths import mean_vjp, threshold
from seqlight.prediction.device_dtypes import widest_dtype
from seqlight.prediction.device_memory import is_out_of_memory

# By how much results may differ, relative to the largest operand: those of a bisection do, too.
TOLERANCES = {torch.float64: 1e-11, torch.float32: 2e-5}


class Projection(NamedTuple):
    """A function of rows that sparsemax or entmax consists of.

    Parameters
    ----------
    dim : int
        The dimension of the operand along which a row lies.
    power : int
        1 for sparsemax, 2 for entmax.
    scale : float
        What the operand is multiplied by first: entmax takes half of its numbers, before its threshold or within.
    weights : bool
        Whether it returns weights, in the shape of the operand, or thresholds.
    """

    dim: int
    power: int
    scale: float
    weights: bool

    def rows(self, x: Tensor) -> Tensor:
        """Return the operand as rows, with as many digits as there are."""
        return x.to(widest_dtype(x.device)).movedim(self.dim, -1).flatten(0, -2) * self.scale

    def results(self, y: Tensor) -> Tensor:
        """Return the results, or their gradient, as rows: those of thresholds have one column."""
        if not self.weights:
            return y.to(widest_dtype(y.device)).reshape(-1, 1)
        return y.to(widest_dtype(y.device)).movedim(self.dim, -1).flatten(0, -2)

    def of_rows(self, rows: Tensor) -> Tensor:
        """Return what the function is for the operand as rows."""
        found = threshold(rows, self.power)
        return (rows - found).clamp_min(0) ** self.power if self.weights else found

    def describes(self, x: Tensor, y: Tensor) -> Tensor:
        """Return whether `y` is what it is for `x`, as a tensor."""
        rows = self.rows(x)
        largest = rows.abs().masked_fill(rows.isinf(), 0).amax() + 1
        return ((self.results(y) - self.of_rows(rows)).abs() <= TOLERANCES[x.dtype] * largest).all()

    def mixes(self, x: Tensor) -> Tensor:
        """Return whether any row has more than one number above its threshold, as a tensor."""
        rows = self.rows(x)
        return ((rows > threshold(rows, self.power)).sum(1) > 1).any()


def recognize(x: Tensor, y: Tensor) -> Projection | None:
    """Return of which projection `y` is the result for `x`, or None.

    Where no row has two numbers above its threshold, that is not known: the place of the largest number, which jumps,
    would look alike.

    Examples
    --------
    >>> x = torch.tensor([[0.5, 0.25, 0.75, -3.0]])
    >>> recognize(x, torch.tensor([[1 / 3, 1 / 12, 7 / 12, 0.0]]))
    Projection(dim=1, power=1, scale=1.0, weights=True)
    >>> recognize(x, x.softmax(1))
    """
    if x.dtype not in TOLERANCES or y.dtype != x.dtype or not x.ndim:
        return None
    return next((one for one in _candidates(x, y) if bool(one.describes(x, y) & one.mixes(x))), None)


def _candidates(x: Tensor, y: Tensor) -> Iterator[Projection]:
    if x.shape == y.shape and x.ndim > 1:
        for dim in reversed(range(x.ndim)):
            total = y.sum(dim)
            if bool(((total - 1).abs() <= 1e-3).all() & (y >= 0).all()):
                yield Projection(dim, 1, 1.0, True)
                yield Projection(dim, 2, 0.5, True)
                yield Projection(dim, 2, 1.0, True)
    for dim in reversed(range(x.ndim)):
        rest = (*x.shape[:dim], *x.shape[dim + 1 :])
        if rest and y.shape in (rest, (*x.shape[:dim], 1, *x.shape[dim + 1 :])):
            yield Projection(dim, 1, 1.0, False)
            yield Projection(dim, 2, 1.0, False)
            yield Projection(dim, 2, 0.5, False)


def projection_vjp(
    projection: Projection, call: Call, recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], grad: Tensor
) -> Tensor | None:
    """Return the gradient at the operand, averaged over the line; None if the call is no such projection.

    Parameters
    ----------
    projection : Projection
        What was recognized in the operand and the result for the references.
    call : Call
        It has one operand and one result.
    recorded, reference : tuple of torch.Tensor
        The operand and the result, for the sequences and for their references.
    grad : torch.Tensor, shape of the result
        The gradient at the result.
    """
    (x1, y1), (x0, y0) = recorded, reference
    if not bool(projection.describes(x1, y1)):
        return None
    x1 = repeat_like(x1, x0)
    start, end = projection.rows(x0), projection.rows(x1)
    if (start.isinf() != end.isinf()).any():
        return None
    dx = torch.where(start == end, 0, end - start)
    half = torch.lerp(x0, x1, 0.5).masked_fill(x0.isinf(), -torch.inf)
    try:
        with torch.no_grad():
            y = call(half)
    except (RuntimeError, IndexError, ValueError) as error:  # it does not accept what is between the two
        if is_out_of_memory(error):
            raise
        return None
    if y.shape != y0.shape or not bool(projection.describes(half, y)):
        return None
    by_row = mean_vjp(start, dx, projection.results(grad), projection.power)
    if by_row is None:
        return None
    rows = x0.movedim(projection.dim, -1)
    return (by_row * projection.scale).view(rows.shape).movedim(-1, projection.dim).to(x0.dtype)
