"""Penalties of attributions, for an attribution prior: from attributions and sequences to a number for each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seqlight.errors import InputError, kind_of


@dataclass(frozen=True)
class Fourier:
    """The Fourier prior: little of the spectrum of a track may lie at high frequencies.

    The track is the size of the attribution at each position, smoothed. Of its spectrum without the mean, as shares
    that sum to 1, low frequencies cost nothing, and higher ones the more, the higher they are; at most 1.

    Parameters
    ----------
    limit : float
        The highest frequency that costs nothing, in cycles per position: 0.15 is a period of 7 positions.
    softness : float
        How slowly costs rise above it.
    smoothing : float
        The standard deviation of the Gaussian by which the track is smoothed, in positions; 0 for none.

    References
    ----------
    Tseng, Shrikumar and Kundaje (2020), Fourier-transform-based attribution priors improve the interpretability and
    stability of deep learning models for genomics.

    Examples
    --------
    >>> wave = torch.cos(torch.arange(40) * torch.tensor([[0.3], [3.0]]))
    >>> slow, fast = Fourier(smoothing=0)(1 + wave.unsqueeze(1), torch.ones(2, 1, 40))
    >>> bool(slow < fast)
    True
    """

    limit: float = 0.15
    softness: float = 0.2
    smoothing: float = 3.0

    def __call__(self, attributions: Tensor, X: Tensor) -> Tensor:
        """Return the cost of each row, shape (rows,)."""
        track = attributions.sum(dim=1).abs()
        track = track / _or_one(track.sum(dim=1, keepdim=True).detach())  # costs do not depend on the scale
        if self.smoothing > 0:
            radius = int(3 * self.smoothing) + 1
            at = torch.arange(-radius, radius + 1, device=track.device, dtype=track.dtype)
            kernel = torch.exp(-((at / self.smoothing) ** 2) / 2)
            track = torch.conv1d(track.unsqueeze(1), (kernel / kernel.sum()).view(1, 1, -1), padding=radius).squeeze(1)
        spectrum = _size(torch.fft.rfft(track))[:, 1:]
        frequencies = torch.fft.rfftfreq(track.shape[1], device=track.device)[1:]
        above = ((frequencies - self.limit).clamp_min(0) * track.shape[1]).to(track.dtype)
        shares = spectrum / _or_one(spectrum.sum(dim=1, keepdim=True))
        free = torch.reciprocal(1 + torch.pow(above, self.softness))
        return (shares * (1 - free)).sum(dim=1)


@dataclass(frozen=True)
class Sparsity:
    """Attribution at few positions: the sum of its sizes, or how evenly they are spread.

    Parameters
    ----------
    kind : "l1" or "gini"
        "l1" is the sum over positions, and makes attributions smaller, too. "gini" is 1 minus the Gini coefficient of
        the sizes, between 0 for a single position and 1 for all alike, whatever their scale.

    Examples
    --------
    >>> attributions = torch.tensor([[[0.0, 0.0, 4.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]]])
    >>> Sparsity()(attributions, attributions), Sparsity("gini")(attributions, attributions)
    (tensor([4., 4.]), tensor([0.2500, 1.0000]))
    """

    kind: Literal["l1", "gini"] = "l1"

    def __post_init__(self) -> None:
        if self.kind not in ("l1", "gini"):
            raise InputError(f"kind is {self.kind!r}: expected 'l1' or 'gini'.")

    def __call__(self, attributions: Tensor, X: Tensor) -> Tensor:
        """Return the cost of each row, shape (rows,)."""
        sizes = attributions.sum(dim=1).abs()
        total = sizes.sum(dim=1)
        if self.kind == "l1":
            return total
        n = sizes.shape[1]
        ranks = torch.arange(1, n + 1, device=sizes.device, dtype=sizes.dtype)
        evenness = (sizes.sort(dim=1).values * (2 * (n - ranks) + 1)).sum(dim=1)
        return evenness / (n * _or_one(total))


@dataclass(frozen=True)
class Window:
    """Attribution inside a window: the share of its size that lies outside, between 0 and 1.

    Parameters
    ----------
    start, end : int
        The window, ``start <= i < end``, the same for all rows.

    Examples
    --------
    >>> Window(2, 4)(torch.tensor([[[0.0, 1.0, 3.0, 0.0]]]), torch.ones(1, 1, 4))
    tensor([0.2500])
    """

    start: int
    end: int

    def __call__(self, attributions: Tensor, X: Tensor) -> Tensor:
        """Return the cost of each row, shape (rows,)."""
        if not 0 <= self.start < self.end <= attributions.shape[2]:
            raise InputError(
                f"the window is {self.start} to {self.end}: expected one inside of {attributions.shape[2]} positions."
            )
        sizes = attributions.sum(dim=1).abs()
        total = sizes.sum(dim=1)
        inside = sizes[:, self.start : self.end].sum(dim=1)
        return (total - inside).clamp_min(0) / _or_one(total)


@dataclass(frozen=True)
class Distance:
    """Attributions like given ones: the mean squared difference.

    Parameters
    ----------
    given : callable
        Returns the attributions that are wanted for sequences, both of shape (rows, letters, positions).

    Examples
    --------
    >>> Distance(lambda X: 2 * X)(torch.ones(2, 4, 5), torch.ones(2, 4, 5))
    tensor([1., 1.])
    """

    given: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        if not callable(self.given):
            raise InputError(
                f"given is {kind_of(self.given)}: expected a function that returns the attributions that are wanted "
                "for sequences, since each step has others."
            )

    def __call__(self, attributions: Tensor, X: Tensor) -> Tensor:
        """Return the cost of each row, shape (rows,)."""
        wanted = self.given(X).to(attributions)
        if wanted.shape != attributions.shape:
            raise InputError(
                f"given returned shape {tuple(wanted.shape)}: expected that of the attributions, "
                f"{tuple(attributions.shape)}."
            )
        return (attributions - wanted).square().mean(dim=(1, 2))


def _or_one(total: Tensor) -> Tensor:
    """Return 1 where there is nothing to take a share of."""
    return torch.where(total > 0, total, 1)


def _size(z: Tensor) -> Tensor:
    """Return the absolute values of complex numbers, with a derivative of 0 where they are 0."""
    square = z.real.square() + z.imag.square()
    nonzero = square > torch.finfo(square.dtype).tiny
    return torch.where(nonzero, torch.where(nonzero, square, 1).sqrt(), 0)
