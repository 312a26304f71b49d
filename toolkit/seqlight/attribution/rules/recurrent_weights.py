"""The weights of a layer of a recurrent network, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from torch import Tensor


class Weights(NamedTuple):
    """What one layer has in one direction."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    w_hr: Tensor | None = None

    @classmethod
    def of(cls, given: Sequence[Tensor]) -> Self:
        """Return these weights: two, both biases or none, and that of a projection or none."""
        w_ih, w_hh, *more = given
        return cls(w_ih, w_hh, *(more[:2] if len(more) > 1 else (None, None)), *more[2 * (len(more) // 2) :])

    @property
    def given(self) -> list[Tensor]:
        """Those that there are."""
        return [one for one in self if one is not None]
