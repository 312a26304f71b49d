"""Difference quotients whose numerator may be rounding alone."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.attribution.calls.partners import align_partners


def secant_or_slope(
    x1: Tensor,
    y1: Tensor,
    slope1: Tensor,
    x0: Tensor,
    y0: Tensor,
    noise: Tensor | None,
    smallest: float,
    infinite: bool,
    out: Tensor | None = None,
) -> Tensor:
    """Return secants, and slopes where these explain the difference of outputs up to rounding.

    Parameters
    ----------
    x1, y1, slope1, x0, y0, infinite
        As in :func:`seqlight.attribution.rules.elementwise.secant`.
    noise : torch.Tensor, shape of `x1`, optional
        Below which size a difference of outputs is noise; None for exact outputs.
    smallest : float
        The smallest difference of inputs that counts.
    out : torch.Tensor, shape of `y0`, optional
        Where to put the result.

    Examples
    --------
    >>> x1, x0, slope1 = torch.tensor([2.0, 1.0]), torch.tensor([-2.0, 1.0]), torch.ones(2)
    >>> secant_or_slope(x1, x1.relu(), slope1, x0, x0.relu(), None, 1e-9, False)
    tensor([0.5000, 1.0000])
    """
    shape = y0.shape
    x1, x0 = align_partners(x1, x0)
    y1, y0 = align_partners(y1, y0)
    slope1 = slope1.view(x1.shape) if slope1.shape != x1.shape else slope1
    dx, dy = x1 - x0, y1 - y0
    if infinite:
        dy.masked_fill_(y1 == y0, 0)
    # NaN, the difference of two infinities, is not >= anything: it counts as no difference. Nor is it < anything: an
    # infinite slope explains nothing.
    excess = None if noise is None else torch.addcmul(dy, slope1, dx, value=-1).abs_()
    quotient, out = dy.div_(dx), None if out is None else out.view(dy.shape)
    same = slope1.dtype == dx.dtype == dy.dtype
    if dx.is_cpu and same and bool((slope1.sum() + quotient.sum()).isfinite()):
        # In numbers, in place: a CPU takes several times as long for masks.
        chosen = dx.abs_().ge_(smallest)
        if excess is not None and noise is not None:
            chosen.gt_(excess.lt_(noise.view(x1.shape)))
        found = torch.lerp(slope1, quotient, chosen, out=out)
    else:
        far = dx.abs_() >= smallest
        if excess is not None and noise is not None:
            far = far > (excess < noise.view(x1.shape))
        found = torch.where(far, quotient, slope1, out=out)
    return found.reshape(shape)


def put_at(x: Tensor, at: Tensor, values: Tensor) -> Tensor:
    """Write `values` into the entries of `x` that are numbered `at`, row by row, each at most once, and return it.

    As ``x.put_`` does, which PyTorch refuses where a program asks for deterministic algorithms.

    Examples
    --------
    >>> put_at(torch.zeros(2, 3).T, torch.tensor([1, 4]), torch.tensor([5.0, 7.0]))
    tensor([[0., 5.],
            [0., 0.],
            [7., 0.]])
    """
    flat = x.flatten().scatter_(0, at, values)
    return x if flat.data_ptr() == x.data_ptr() else x.copy_(flat.view(x.shape))
