"""Windows of a tensor whose other dimensions were flattened into one, as before a dense layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqlight.prediction.changed_windows.windows import PlainWindows, Windows


@dataclass(frozen=True, eq=False)
class FlatWindows:
    """Rows that differ from one reference in some of their numbers.

    Parameters
    ----------
    windows : Windows
        Of the tensor as it was before.
    reference : torch.Tensor, shape (1, numbers)
        The reference of `windows`, flattened.

    Examples
    --------
    >>> one = PlainWindows(torch.zeros(1, 2, 3), torch.ones(2, 2, 1), torch.tensor([1]), 2)
    >>> FlatWindows(one, one.reference.flatten(1)).whole()
    tensor([[0., 1., 0., 0., 1., 0.],
            [0., 1., 0., 0., 1., 0.]])
    """

    windows: Windows
    reference: Tensor

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.windows.rows

    @property
    def shape(self) -> torch.Size:
        """The shape of the whole."""
        return torch.Size((self.rows, *self.reference.shape[1:]))

    def whole(self) -> Tensor:
        """Return the rows in full, a new tensor."""
        return self.windows.whole().flatten(1)

    def like(self, values: Tensor, reference: Tensor) -> FlatWindows:
        """Return other numbers at the same places; both as a function returned them for `windows` and `reference`."""
        one = self.windows
        windows = PlainWindows(reference.reshape(one.reference.shape), values, one.starts, one.axis)
        return FlatWindows(windows, reference)
