"""Secants of softmax, element by element: what ``native/softmax.c`` and ``rules/softmax.py`` compute, for Triton.

A row of the sequences has inputs a1 with softmax p1, its reference a0 with p0, and d is the difference of their
logsumexps. See ``rules/softmax.py`` for the mathematics.
"""

import triton
import triton.language as tl

from seqlight.attribution.kernels.triton.pairs import quotient


@triton.jit
def rise_of(largest1: tl.tensor, total1: tl.tensor, largest0: tl.tensor, total0: tl.tensor) -> tl.tensor:
    """Return the difference of two logsumexps, each given by the largest input and the sum of exponentials over it.

    It is that of two numbers of the size of the inputs, but has the rounding error of their difference.
    """
    found = (largest1 - largest0) + tl.log(quotient(total1, total0))
    # A row from which all is hidden has no difference from any.
    return tl.where(tl.abs(found) < float("inf"), found, 0.0)


@triton.jit
def mean_exponentials(d: tl.tensor) -> tl.tensor:
    """Return ``d / (1 - exp(-d))`` and ``d / (exp(d) - 1)``, the secant of the logarithm times either sum."""
    size = tl.abs(d)
    e, square = tl.exp(-size), size * size
    if d.dtype == tl.float32:
        series = ((square * (-1 / 1209600) + 1 / 30240) * square - 1 / 720) * square + 1 / 12
        near = series * square + size * 0.5 + 1
    else:
        # log(e) / (e - 1), whose errors cancel (Kahan).
        near = tl.where(e == 1, 1 + size / 2, tl.log(e) / tl.where(e == 1, -1.0, e - 1))
    is_near = size < 1
    more = tl.where(is_near, near, quotient(size, tl.where(is_near, 1.0, 1 - e)))
    rest = tl.where(is_near, more - size, more * e)
    return tl.where(d >= 0, more, rest), tl.where(d >= 0, rest, more)


@triton.jit
def secants_of(
    a1: tl.tensor,
    p1: tl.tensor,
    a0: tl.tensor,
    p0: tl.tensor,
    d: tl.tensor,
    above: tl.tensor,
    below: tl.tensor,
    NEARNESS: tl.constexpr,
) -> tl.tensor:
    """Return the weights of logsumexp, and the secant of softmax over log_softmax."""
    dx = a1 - a0
    return _logarithmic_mean(above * p1, below * p0, dx, NEARNESS), _logarithmic_mean(p1, p0, dx - d, NEARNESS)


@triton.jit
def _logarithmic_mean(a: tl.tensor, b: tl.tensor, step: tl.tensor, NEARNESS: tl.constexpr) -> tl.tensor:
    """Return that of two numbers whose logarithms differ by `step`; see ``rules/logarithmic_mean.py``."""
    # Where one is infinite, or where both are and all is hidden, it is 0; what is no number stays so.
    inside = tl.abs(step) < 1e15
    step = tl.where(inside, step, 0.0)
    return tl.where(inside, quotient((a - b) * step + (a + b) * (NEARNESS / 2), step * step + NEARNESS), (a - b) * 0)
