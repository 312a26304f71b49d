"""Windows that are known by their difference from the reference, which linear operations take as it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqlight.prediction.changed_windows.windows import Windows, plus_reference

# So many operations may wait for each other; then they are computed.
MOST_WAITING = 16


class Differences(Windows):
    """Windows of which the difference from the reference is known, or will be computed where it is asked for.

    So a convolution, the activation after it and the sum with what went in read the reference only where the
    activation needs it, and write one new tensor, not one each.

    Parameters
    ----------
    reference, starts, axis, shape
        As in :class:`Windows`.
    difference : torch.Tensor, or callable
        Of the windows from what the reference has there; or what computes it, a new tensor each time.
    values : callable, optional
        Computes the windows themselves, if not as what the reference has plus the difference.
    rectified : callable, optional
        Computes the difference after a ReLU, faster than from this one.
    waiting : int
        How many operations have not been computed yet, this one included.

    Examples
    --------
    >>> one = Differences(torch.ones(1, 1, 9), torch.tensor([4]), 2, torch.Size((3, 1, 2)), torch.ones(3, 1, 2))
    >>> one.whole()[0, 0]
    tensor([1., 1., 1., 1., 2., 2., 1., 1., 1.])
    """

    def __init__(
        self,
        reference: Tensor,
        starts: Tensor,
        axis: int,
        shape: torch.Size,
        difference: Tensor | Callable[[], Tensor],
        values: Callable[[], Tensor] | None = None,
        rectified: Callable[[], Tensor] | None = None,
        waiting: int = 0,
    ) -> None:
        super().__init__(reference, starts, axis, shape)
        self._difference = difference if isinstance(difference, Tensor) else None
        self._known: Tensor | None = None
        self._make = None if isinstance(difference, Tensor) else difference
        self._make_values, self.rectified = values, rectified
        self.waiting = waiting
        if waiting > MOST_WAITING:
            self.change()

    @property
    def values(self) -> Tensor:
        """What each row has in its window."""
        if self._known is None:
            self._known = self.new_values()
            self._done()
        return self._known

    def change(self) -> Tensor:
        """Return the difference of the windows from what the reference has there."""
        if self._difference is None:
            self._difference = self.new_change()
            self._done()
        return self._difference

    def new_values(self) -> Tensor:
        """Return what each row has in its window, in a tensor that may be written to."""
        if self._known is not None:
            return self._known.clone()
        if self._make_values is not None:
            return self._make_values()
        if self._make is None:
            return self._plus_reference(self.change())
        return self._plus_reference(self._make(), in_place=True)

    def new_change(self) -> Tensor:
        """Return the difference in a tensor that may be written to."""
        if self._difference is not None:
            return self._difference.clone()
        return self._plus_reference(self.values, -1) if self._make is None else self._make()

    def _plus_reference(self, one: Tensor, sign: int = 1, in_place: bool = False) -> Tensor:
        return plus_reference(one, self.reference, self.axis, self.starts, sign, in_place)

    def _done(self) -> None:
        """Let go of what this is computed from."""
        self._make = self._make_values = self.rectified = None
        self.waiting = 0
