"""The multipliers of softmax in plain PyTorch, as logarithmic means.

With d, the difference of logsumexps, ``log p1 - log p0 = dx - d``: so the secant of softmax over log_softmax is the
logarithmic mean of both softmaxes. The weights of logsumexp are that of ``above * p1`` and ``below * p0``, in the terms
of :class:`LogsumexpRise`, whose logarithms differ by dx.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.calls.partners import align_partners
from seqlight.attribution.rules.elementwise import smallest_exponent_step
from seqlight.attribution.rules.logarithmic_mean import finite_steps, logarithmic_mean
from seqlight.prediction.device_dtypes import widest_dtype


class LogsumexpRise(NamedTuple):
    """The difference d of the logsumexps of rows, with a row of one entry for each of the references.

    Attributes
    ----------
    d : torch.Tensor
    above, below : torch.Tensor
        The secant of the logarithm times either sum of exponentials: ``d / (1 - exp(-d))`` and ``d / (exp(d) - 1)``.
    """

    d: Tensor
    above: Tensor
    below: Tensor

    @classmethod
    def between(cls, recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], dim: int) -> LogsumexpRise:
        """Return that between the sequences and the references, each given as inputs and their softmax over `dim`."""
        lse1, lse0 = (logsumexp_from(*one, dim) for one in (recorded, reference))
        shape, (lse1, lse0) = lse0.shape, align_partners(lse1, lse0)
        d = (lse1 - lse0).to(_precise(reference[0].dtype)).reshape(shape)
        return cls(d, *exponential_secants(d))

    def split(self, rows: int) -> list[LogsumexpRise]:
        """Return the same for so many references at a time."""
        return [LogsumexpRise(*some) for some in zip(*(torch.split(one, rows) for one in self), strict=True)]


def softmax_secants(
    recorded: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], rise: LogsumexpRise, dim: int, *, hidden: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights of logsumexp, the secant of softmax over log_softmax, and the mean of both softmaxes.

    Parameters
    ----------
    recorded, reference : tuple of torch.Tensor
        Input, and softmax over `dim`.
    rise : LogsumexpRise
        Between them.
    dim : int
        Not negative.
    hidden : bool
        Whether inputs may be infinite.
    """
    (x1, p1), (x0, p0), shape, dtype = recorded, reference, reference[0].shape, reference[0].dtype
    x1, p1, x0, p0 = (one.to(_precise(dtype)) for one in (x1, p1, x0, p0))
    row = x1.narrow(dim, 0, 1)
    d, above, below = (align_partners(row, one)[1] for one in rise)
    (x1, x0), (p1, p0) = align_partners(x1, x0), align_partners(p1, p0)
    dx, mean = x1 - x0, torch.lerp(p0, p1, 0.5)
    dx = finite_steps(dx) if hidden else dx
    slope = logarithmic_mean(p1 - p0, mean, dx - d)
    part = above * p1
    difference = torch.addcmul(part, below, p0, value=-1)
    weights = logarithmic_mean(difference, torch.sub(part, difference, alpha=0.5), dx)
    weights, slope, mean = (one.reshape(shape).to(dtype) for one in (weights, slope, mean))
    return weights, slope, mean


def exponential_secants(d: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``d / (1 - exp(-d))`` and ``d / (exp(d) - 1)``, in the graph."""
    with torch.no_grad():
        small = d.abs() < smallest_exponent_step(d.dtype)
    safe = torch.where(small, 1, d)
    above = torch.where(small, 1 + d / 2, safe / -torch.expm1(-safe))
    return above, torch.where(small, 1 - d / 2, safe / torch.expm1(safe))


def logsumexp_from(x: Tensor, p: Tensor, dim: int) -> Tensor:
    """Return logsumexp in float64, as its differences need, from the input and softmax where these are largest."""
    wide = widest_dtype(x.device)
    return x.amax(dim, keepdim=True).to(wide) - p.amax(dim, keepdim=True).to(wide).log()


def _precise(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
