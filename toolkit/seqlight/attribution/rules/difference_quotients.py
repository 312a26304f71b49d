"""Difference quotients whose numerator may be rounding alone."""

from __future__ import annotations

import torch
from torch import Tensor


def quotient_or_tangent(dy: Tensor, dx: Tensor, tangent: Tensor, noise: float, smallest: float) -> Tensor:
    """Return ``dy / dx``, and the tangent where that explains `dy` up to rounding, or where `dx` is next to nothing.

    Parameters
    ----------
    dy, dx : torch.Tensor
        Differences of outputs and inputs; they are overwritten.
    tangent : torch.Tensor, broadcast to them
        The slope, not negative.
    noise : float
        The rounding error of an output, relative to the tangent.
    smallest : float
        Where `dx` is smaller, or not a number, as the difference of two infinities is, it counts as none.

    Examples
    --------
    >>> dy, dx = torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([2.0, 1.0, 1e-9, torch.nan])
    >>> quotient_or_tangent(dy, dx, torch.tensor([4.0, 2.0, 5.0, 6.0]), 1e-6, 1e-6)
    tensor([0.5000, 2.0000, 5.0000, 6.0000])
    """
    # What the tangent leaves unexplained, beyond rounding.
    excess = torch.addcmul(dy, tangent, dx, value=-1).abs_().sub_(tangent, alpha=noise)
    quotient = dy.div_(dx)
    if not dx.is_cpu:
        return torch.where((dx.abs_() > smallest).logical_and_(excess > 0), quotient, tangent)
    # Both conditions as a number, 0 or 1, in place: a CPU takes several times as long for masks.
    chosen = excess.gt_(0).mul_(dx.abs_().gt_(smallest))
    return torch.lerp(tangent, quotient.nan_to_num_(0, 0, 0), chosen, out=quotient)
