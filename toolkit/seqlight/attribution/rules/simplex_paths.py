"""Mean Jacobians of sparsemax and of entmax with exponent 1.5, on the line from reference to input, in closed form.

Both subtract a threshold from each number of a row, set to 0 what is not above it, and raise the rest to a power p: 1
for sparsemax, and 2 for entmax, which takes half of each number. The threshold is such that the row sums to 1. Between
the places on the line where a number crosses the threshold, the same numbers are above it, the **support**, and their
threshold has a formula: with p = 1 it is linear on the line, with p = 2 it is their mean less a root ``r`` of a
quadratic polynomial. So are the places where the next number crosses, and the integrals in between. These go over an
angle that grows by ``dt / r`` (but for a factor): all that is integrated is a polynomial of its sine and cosine.

References
----------
Martins and Astudillo (2016), From Softmax to Sparsemax. Peters, Niculae and Martins (2019), Sparse Sequence-to-Sequence
Models: entmax, and its threshold at exponent 1.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.rules.mean_jacobian import gauss_legendre

# Exact for all polynomials of sines and cosines that there are, up to rounding.
POINTS = 10
# Numbers of a piece of rows, and how often a number of a row may cross the threshold.
PIECE = 2**16
CROSSINGS = 4
# Rows that have ended are dropped once fewer than this share go on.
KEPT = 0.7
# As a share of the line.
NOWHERE = 1e-13


def threshold(x: Tensor, power: int) -> Tensor:
    """Return what is subtracted from each row, so that it sums to 1 afterwards.

    Parameters
    ----------
    x : torch.Tensor, shape (rows, numbers)
    power : {1, 2}

    Returns
    -------
    torch.Tensor, shape (rows, 1)

    Examples
    --------
    >>> threshold(torch.tensor([[0.5, 0.25, 0.75, -3.0]]), 1)
    tensor([[0.1667]])
    """
    ordered = x.sort(-1, descending=True).values
    # Of large numbers, differences are what counts.
    top = ordered[:, :1]
    ordered = ordered - top
    k = torch.arange(1, x.shape[1] + 1, dtype=x.dtype, device=x.device)
    means = ordered.cumsum(1) / k
    if power == 1:
        found = means - 1 / k
    else:
        variances = (ordered.square().cumsum(1) / k - means.square()).clamp_min(0)
        found = means - (1 / k - variances).clamp_min(0).sqrt()
    # The largest number has the smallest rank and is always in; -inf never is.
    inside = (ordered > found) | (k == 1)
    at = inside.sum(1, keepdim=True) - 1
    return found.gather(1, at) + top


class _Support(NamedTuple):
    """What a row is between two crossings, from a place on the line: ``centre + slope * step`` around its mean."""

    inside: Tensor  # shape (rows, numbers), as 0 or 1
    k: Tensor  # shape (rows, 1): how many are
    centre: Tensor
    slope: Tensor

    @classmethod
    def of(cls, x: Tensor, dx: Tensor, inside: Tensor) -> _Support:
        share = inside.to(x.dtype)
        k = share.sum(1, keepdim=True)
        return cls(share, k, x - _dot(share, x) / k, dx - _dot(share, dx) / k)

    def sum(self, one: Tensor) -> Tensor:
        return _dot(self.inside, one)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vecdot(a, b, dim=1)
    return found.unsqueeze(1)


def mean_vjp(x0: Tensor, dx: Tensor, grad: Tensor, power: int) -> Tensor | None:
    """Return the gradient at each row, averaged over the line from `x0` to ``x0 + dx``; None if a row has no end.

    Parameters
    ----------
    x0, dx : torch.Tensor, shape (rows, numbers), float64
        The line. Numbers of -inf, as a mask makes them, have a `dx` of 0.
    grad : torch.Tensor, shape (rows, numbers) or (rows, 1)
        The gradient at the results; of one column, at the thresholds.
    power : {1, 2}

    Examples
    --------
    >>> x0, dx = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    >>> mean_vjp(x0, dx, torch.tensor([[1.0, 0.0]]), 1)  # from (1/2, 1/2) to (1, 0), which it is half way
    tensor([[ 0.2500, -0.2500]])
    """
    size = max(1, PIECE // x0.shape[1]) if x0.is_cpu else len(x0)
    pieces = zip(torch.split(x0, size), torch.split(dx, size), torch.split(grad, size), strict=True)
    found = [_mean_vjp_of_piece(a, b, c, power) for a, b, c in pieces]
    done = [one for one in found if one is not None]
    return torch.cat(done) if len(done) == len(found) else None


def _mean_vjp_of_piece(x0: Tensor, dx: Tensor, grad: Tensor, power: int) -> Tensor | None:
    x0 = _without_infinities(x0, dx)
    step, part = (_line, _line_part) if power == 1 else (_arc, _arc_part)
    total, at = torch.zeros_like(x0), torch.arange(len(x0), device=x0.device)
    t = x0.new_zeros(len(x0), 1)
    inside = x0 > threshold(x0, power)
    stands = False  # whether any row has not moved on
    left = torch.zeros_like(inside)  # which went below the threshold at this very place
    still = dx.abs().amax(1, keepdim=True) * torch.finfo(x0.dtype).eps * 8
    for _ in range(CROSSINGS * x0.shape[1] + 8):
        support = _Support.of(torch.addcmul(x0, dx, t), dx, inside)
        crossing = step(support, inside, still)
        if stands:
            crossing.masked_fill_(left & (crossing < NOWHERE), torch.inf)
        length = torch.minimum(crossing.amin(1, keepdim=True), 1 - t)
        total.index_add_(0, at, part(support, grad, length).mul_(support.inside))
        crosses = crossing <= length
        if power == 1 and bool((crosses.sum(1) > 1).any()):
            crosses = _first_to_cross(crosses, inside, support.slope, still)
        stays = length < NOWHERE
        stands = bool(stays.any())
        left = (left & stays) | (crosses & inside) if stands else crosses & inside
        inside = inside ^ crosses
        t = t + length
        goes_on = (t < 1)[:, 0]
        left_over = int(goes_on.sum())
        if left_over < KEPT * len(at):  # rows that have ended do not change any more
            at, t, inside, left, still, x0, dx, grad = (
                one[goes_on] for one in (at, t, inside, left, still, x0, dx, grad)
            )
        if not left_over:
            return total
    return None


def _without_infinities(x0: Tensor, dx: Tensor) -> Tensor:
    """Return `x0` with what is masked at a finite distance below any threshold on the line."""
    masked = x0 == -torch.inf
    lowest = x0.amax(1, keepdim=True) - 2 * dx.abs().amax(1, keepdim=True) - 4
    return torch.where(masked, lowest, x0)


def _first_to_cross(crosses: Tensor, inside: Tensor, slope: Tensor, still: Tensor) -> Tensor:
    """Return which of those that cross a linear threshold at one place do so first.

    Those that leave go before those that enter, and steeper ones before others. Each turns the threshold upwards, so
    that the rest may not cross any more, and none of those before it comes back.
    """
    leaves = crosses & inside
    chosen = torch.where(leaves.any(1, keepdim=True), leaves, crosses)
    steepness = torch.where(chosen, slope.abs(), -1)
    return chosen & (steepness >= steepness.amax(1, keepdim=True) - still)


def _line(support: _Support, inside: Tensor, still: Tensor) -> Tensor:
    """Return how far it is to where each number crosses a threshold that is linear."""
    side = support.inside * 2 - 1
    # Numbers in place of masks, which take a CPU several times as long: what hardly moves has no speed, and so it never
    # arrives; that is not the -0 that clamp leaves as it is.
    distance = (support.centre + 1 / support.k).mul_(side).clamp_min_(torch.finfo(side.dtype).tiny)
    return distance.div_((support.slope * side).add_(still).neg_().clamp_min_(0).abs_())


def _line_part(support: _Support, grad: Tensor, length: Tensor) -> Tensor:
    if grad.shape[1] == 1:
        return (grad * length / support.k).expand(support.centre.shape).clone()
    return (grad - support.sum(grad) / support.k) * length


class _Arc(NamedTuple):
    """The root ``r`` on the line: its square is ``root**2 - 2 * turn * s - bend * s**2``."""

    root: Tensor
    turn: Tensor
    bend: Tensor

    @classmethod
    def of(cls, support: _Support) -> _Arc:
        squares = support.sum(support.centre.square())
        turn, bend = support.sum(support.centre * support.slope), support.sum(support.slope.square())
        return cls(((1 - squares).clamp_min(0) / support.k).sqrt(), turn / support.k, bend / support.k)

    def at(self, s: Tensor) -> Tensor:
        return (self.root.square() - s * (2 * self.turn + self.bend * s)).clamp_min(0).sqrt()


def _arc(support: _Support, inside: Tensor, still: Tensor) -> Tensor:
    """Return how far it is to where each number crosses a threshold that is its mean less a root."""
    arc, c, slope = _Arc.of(support), support.centre, support.slope
    # Where the square of the distance from the mean is that of the root.
    a, b = slope.square() + arc.bend, c * slope + arc.turn
    rest = (c - arc.root) * (c + arc.root)
    discriminant = b.square() - a * rest
    real = discriminant > 0
    q = -(b + torch.where(b < 0, -1, 1) * discriminant.clamp_min(0).sqrt())
    one, other = q / a, rest / q
    first, last = torch.minimum(one, other), torch.maximum(one, other)
    rises = slope - arc.turn / arc.root
    # The distance above the threshold is concave: it comes up at the first place, and goes down at the last one.
    at = torch.where(real, torch.where(inside, last, first), 0)
    below = c + slope * at < 0
    leaves = below & inside
    enters = real & below & ~inside & ((at >= 0) | ((c + arc.root > 0) & (rises > 0)))
    return torch.where((leaves | enters) & (slope.abs() + arc.bend.sqrt() > still), at.clamp_min(0), torch.inf)


def _arc_part(support: _Support, grad: Tensor, length: Tensor) -> Tensor:
    arc, c, slope, k = _Arc.of(support), support.centre, support.slope, support.k
    whole = arc.root + arc.at(length)
    z = arc.bend.sqrt() * length / whole
    # The integral of 1 / r, and the angle in between.
    angle = 2 * torch.atan(z)
    measure = 2 * length / whole * torch.where(z > 1e-8, angle / (2 * z), 1)

    def mean(function: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        return measure * sum(weight * function(s, r) for weight, s, r in nodes)

    nodes = []
    for share, weight in gauss_legendre(POINTS):
        along, half = share * measure, share * angle / 2
        sine = torch.sinc(half / torch.pi)
        s = along * sine * (arc.root * half.cos() - arc.turn * along / 2 * sine)
        r = arc.root * (2 * half).cos() - arc.turn * along * torch.sinc(2 * half / torch.pi)
        nodes.append((weight, s, r))
    if grad.shape[1] == 1:
        return grad / k * (c * measure + slope * mean(lambda s, r: s) + mean(lambda s, r: r))
    by_c, by_slope, by_root = (support.sum(one) for one in (grad * c, grad * slope, grad))

    def common(s: Tensor, r: Tensor) -> Tensor:
        return by_c + s * by_slope + r * by_root

    direct = c * mean(lambda s, r: r) + slope * mean(lambda s, r: s * r) + mean(lambda s, r: r * r)
    shared = c * mean(common) + slope * mean(lambda s, r: s * common(s, r)) + mean(lambda s, r: r * common(s, r))
    return 2 * (grad * direct - shared / k)
