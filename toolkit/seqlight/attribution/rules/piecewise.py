"""The mean Jacobian of operations that are smooth in pieces, such as projections to a simplex.

No mean over points converges where the line from reference to input crosses from piece to piece. So each row is
integrated in pieces of its own, by Gauss and Legendre's points. A piece that does not explain its own rise is cut where
the tangents of two neighbouring points meet, or else where their slopes do; if both pieces are straight, this is
exactly where they join. An operation that jumps is never explained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.partners import batch_dimension, repeat_like
from seqlight.attribution.rules.mean_jacobian import gauss_legendre
from seqlight.prediction.device_dtypes import has_float64
from seqlight.prediction.device_memory import is_out_of_memory

POINTS = 6
# The most pieces that a row may take.
PIECES = 3000
# The shortest piece: an operation that does not add up along it jumps.
SHORTEST = {torch.float64: 1e-14, torch.float32: 1e-6}
TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-6}


def piecewise_vjp(
    call: Call, recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], grad: Tensor
) -> Tensor | None:
    """Return the gradient at the operand, averaged over the line; None if that does not explain the difference.

    Parameters
    ----------
    call : Call
        It has one operand and one result.
    recorded, reference : tuple of torch.Tensor
        The operand and the result, for the sequences and for their references.
    grad : torch.Tensor, shape of the result
        The gradient at the result.
    """
    try:
        return _mean_vjp(call, recorded, reference, grad)
    except (RuntimeError, IndexError, ValueError) as error:  # the operation does not accept operands between the two
        if is_out_of_memory(error):
            raise
        return None


def _mean_vjp(
    call: Call, recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], grad: Tensor
) -> Tensor | None:
    (x1, y1), (x0, y0) = recorded, reference
    if x0.dtype not in TOLERANCES or y0.dtype != x0.dtype:
        return None
    dtype = torch.float64 if x0.dtype == torch.float32 and _runs_in_double(call, x0) else x0.dtype
    for rows in _ways_to_find_rows(x1, x0, y0):
        line = _Line(call, x0.to(dtype), _steps(x1, x0, dtype), grad.to(dtype), rows)
        if rows.batch is None and not line.has_independent_rows():
            continue
        if not line.has_slopes():
            return None
        found = line.mean()
        if found is not None and line.explains(found, repeat_like(y1, y0), y0):
            return found.to(x0.dtype)
    return None


def _steps(x1: Tensor, x0: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the difference of both; equal infinities, as those of a mask, have none."""
    x1 = repeat_like(x1, x0)
    return (x1.to(dtype) - x0.to(dtype)).masked_fill_(x1 == x0, 0)


def _runs_in_double(call: Call, x: Tensor) -> bool:
    """Return whether an operation accepts float64, in which differences keep more digits."""
    if not has_float64(x.device):
        return False
    try:
        with torch.no_grad():
            return bool(call(x.double()).dtype == torch.float64)
    except RuntimeError as error:
        if is_out_of_memory(error):  # or the result would depend on how much memory there is
            raise
        return False


@dataclass(frozen=True)
class _Rows:
    """What is integrated by itself: the elements along one dimension, or a whole row of the batch.

    Parameters
    ----------
    within : int
        The dimension along which a row lies.
    batch : int, optional
        The dimension of the batch in operand and result, if a row is all that belongs to one place of it.
    kept : bool
        Whether the result has the dimension `within`, too.
    """

    within: int = 0
    batch: tuple[int, int] | None = None
    kept: bool = True

    def of_operand(self, x: Tensor) -> Tensor:
        """Return the sum of each row of the operand, with dimensions of size 1 where it was summed."""
        return x.sum(self.within, keepdim=True) if self.batch is None else _sum_all_but(x, self.batch[0])

    def of_result(self, y: Tensor, like: Tensor) -> Tensor:
        """Return the sum of each row of the result, in the shape of the operand's, `like`."""
        if self.batch is not None:
            return _sum_all_but(y, self.batch[1]).reshape(like.shape)
        return y.sum(self.within, keepdim=True) if self.kept else y.unsqueeze(self.within)


def _sum_all_but(x: Tensor, at: int) -> Tensor:
    others = [d for d in range(x.ndim) if d != at]
    return x.sum(others, keepdim=True) if others else x


def _ways_to_find_rows(x1: Tensor, x0: Tensor, y0: Tensor) -> Iterator[_Rows]:
    """Yield what may be rows, the smallest first."""
    for d in reversed(range(x0.ndim)):
        before, after = tuple(x0.shape[:d]), tuple(x0.shape[d + 1 :])
        if y0.ndim == x0.ndim and (tuple(y0.shape[:d]), tuple(y0.shape[d + 1 :])) == (before, after):
            yield _Rows(d)
        elif tuple(y0.shape) == (*before, *after):
            yield _Rows(d, kept=False)
    at = batch_dimension(x1, x0)
    if at is not None:
        same = [d for d in range(y0.ndim) if y0.shape[d] == x0.shape[at[0]]]
        if same:
            yield _Rows(batch=(at[0], same[0]))
    elif x0.ndim:
        yield _Rows(batch=(0, 0)) if y0.ndim and y0.shape[0] == x0.shape[0] else _Rows(0)


class _Line:
    """An operation along the lines from reference to input of all rows, each at its own place between 0 and 1."""

    def __init__(self, call: Call, x0: Tensor, dx: Tensor, grad: Tensor, rows: _Rows) -> None:
        self.call, self.x0, self.dx, self.grad, self.rows = call, x0, dx, grad, rows
        self.none = torch.zeros_like(rows.of_operand(x0))
        self.tolerance, self.shortest = TOLERANCES[x0.dtype], SHORTEST[x0.dtype]
        self.step = 1e-5 if x0.dtype == torch.float64 else 1e-2

    def has_independent_rows(self) -> bool:
        """Return whether rows do not depend on each other: whether half of them stay when the others are moved."""
        places = torch.linspace(0.1, 0.9, max(1, self.none.numel()), device=self.none.device, dtype=self.none.dtype)
        places = places.view(self.none.shape)
        first = torch.arange(self.none.numel(), device=self.none.device).view(self.none.shape) % 2 == 0
        both = [self._height(torch.where(first, places, other)) for other in (places, 1 - places)]
        off = (both[0] - both[1]).abs() > 1e3 * self.tolerance * both[0].abs().amax()
        return not bool((off & first).any())

    def has_slopes(self) -> bool:
        """Return whether the gradient is the slope, which that of a straight-through estimator is not."""
        wrong = torch.ones_like(self.none, dtype=torch.bool)
        for place in (0.382, 0.618):  # where a row joins in one of them, it hardly does in both
            a = torch.full_like(self.none, place)
            piece = self._piece(a, a + self.step)
            wrong &= ~(piece.miss.abs() <= 0.01 * piece.rise.abs() + self.tolerance * piece.size)
        return not bool(wrong.any())

    def mean(self) -> Tensor | None:
        """Return the mean gradient; None if a row takes too many pieces, or jumps."""
        total, size = torch.zeros_like(self.x0), self.none
        # A stack of pieces for each row, with the next one on top.
        first, last = [self.none.clone()], [torch.ones_like(self.none)]
        left = torch.ones_like(self.none, dtype=torch.long)
        firsts, lasts = torch.stack(first), torch.stack(last)
        for _ in range(PIECES):
            at = (left - 1).clamp_min(0).unsqueeze(0)
            a, b = firsts.gather(0, at)[0], lasts.gather(0, at)[0]
            a, b = torch.where(left > 0, a, 0), torch.where(left > 0, b, 0)
            piece = self._piece(a, b)
            size = torch.maximum(size, piece.size)
            fits = (piece.miss.abs() <= self.tolerance * size) | (left == 0)
            if bool((~fits & (b - a < self.shortest)).any()) or not bool(piece.miss.isfinite().all()):
                return None
            total = total + torch.where(fits & (left > 0), piece.gradient, 0)
            cut = ~fits
            left = left - (fits & (left > 0)).long()
            if bool(cut.any()):
                middle = piece.cut(a, b)
                # The second part replaces the piece, and the first goes on top of it.
                if int(left.max()) == len(firsts):
                    firsts, lasts = (torch.cat([one, one[:1]]) for one in (firsts, lasts))
                firsts = firsts.scatter(0, at, torch.where(cut, middle, firsts.gather(0, at)[0]).unsqueeze(0))
                above = left.clamp_max(len(firsts) - 1).unsqueeze(0)
                firsts = firsts.scatter(0, above, torch.where(cut, a, firsts.gather(0, above)[0]).unsqueeze(0))
                lasts = lasts.scatter(0, above, torch.where(cut, middle, lasts.gather(0, above)[0]).unsqueeze(0))
                left = left + cut.long()
            if not bool((left > 0).any()):
                return total
        return None

    def explains(self, gradient: Tensor, y1: Tensor, y0: Tensor) -> bool:
        """Return whether `gradient` explains the difference of the recorded results."""
        dy, parts = (y1 - y0) * self.grad, gradient * self.dx
        off = (self.rows.of_operand(parts) - self.rows.of_result(dy, self.none)).abs()
        size = self.rows.of_operand(parts.abs()) + self.rows.of_result(dy.abs(), self.none)
        # A result in which terms cancel is rounded to the digits of these terms.
        digits = self.rows.of_result((y1.abs() + y0.abs()) * self.grad.abs(), self.none)
        allowed = 1e2 * TOLERANCES[y0.dtype] * size.amax() + 1e2 * torch.finfo(y0.dtype).eps * digits.amax()
        return bool((off <= allowed).all())

    def _height(self, t: Tensor) -> Tensor:
        with torch.no_grad():
            y = self.call(torch.addcmul(self.x0, self.dx, t))
        return self.rows.of_result(y * self.grad, self.none)

    def _piece(self, a: Tensor, b: Tensor) -> _Piece:
        places, heights, slopes = [], [], []
        gradient, size = torch.zeros_like(self.x0), self.none
        for share, weight in gauss_legendre(POINTS):
            t = torch.lerp(a, b, share)
            with torch.enable_grad():
                x = torch.addcmul(self.x0, self.dx, t).requires_grad_()
                y = self.call(x)
                (found,) = torch.autograd.grad(y, x, self.grad)
            parts = found * self.dx
            gradient = gradient + found * (weight * (b - a))
            places.append(t)
            # A row in which terms cancel is rounded to the digits of these terms.
            heights.append(self.rows.of_result(y.detach() * self.grad, self.none))
            size = torch.maximum(size, self.rows.of_result((y.detach() * self.grad).abs(), self.none))
            size = torch.maximum(size, self.rows.of_operand(parts.abs()))
            slopes.append(self.rows.of_operand(parts))
        rise = self._height(b) - self._height(a)
        miss = self.rows.of_operand(gradient * self.dx) - rise
        return _Piece(gradient, miss, rise, size, torch.stack(places), torch.stack(heights), torch.stack(slopes))


@dataclass(frozen=True)
class _Piece:
    """One piece of each row: its part of the mean gradient, and by how much that misses the rise along it."""

    gradient: Tensor
    miss: Tensor
    rise: Tensor
    size: Tensor
    places: Tensor
    heights: Tensor
    slopes: Tensor

    def cut(self, a: Tensor, b: Tensor) -> Tensor:
        """Return where to cut: where two smooth pieces seem to join, or else in the middle."""
        where_slopes_meet, slopes_meet = self._slopes_meet()
        where_tangents_meet, tangents_meet = self._tangents_meet()
        other = torch.where(tangents_meet, where_tangents_meet, (a + b) / 2)
        return torch.where(slopes_meet, where_slopes_meet, other)

    def _tangents_meet(self) -> tuple[Tensor, Tensor]:
        """Return where the tangents of the neighbours meet whose slopes differ most, and whether it is between them."""
        turns = (self.slopes[1:] - self.slopes[:-1]).abs()
        at = turns.argmax(0, keepdim=True)
        t, h, s = (one.gather(0, at)[0] for one in (self.places, self.heights, self.slopes))
        u, k, r = (one[1:].gather(0, at)[0] for one in (self.places, self.heights, self.slopes))
        meet = (k - h + s * t - r * u) / (s - r)
        return meet, (meet > t) & (meet < u)

    def _slopes_meet(self) -> tuple[Tensor, Tensor]:
        """Return the same of the slopes themselves, for pieces that join without a kink."""
        rates = (self.slopes[1:] - self.slopes[:-1]) / (self.places[1:] - self.places[:-1])
        at = (rates[2:] - rates[:-2]).abs().nan_to_num(0).argmax(0, keepdim=True)
        t, s = (one[1:].gather(0, at)[0] for one in (self.places, self.slopes))
        u, r = (one[2:].gather(0, at)[0] for one in (self.places, self.slopes))
        before, after = rates.gather(0, at)[0], rates[2:].gather(0, at)[0]
        meet = (r - s + before * t - after * u) / (before - after)
        return meet, (meet > t) & (meet < u)
