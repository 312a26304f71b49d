"""Where the rows of a batch lie in an activation: in which dimension, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from seqlight.attribution.calls.partners import differing_dimension
from seqlight.errors import UnsupportedOperation


class RowLayout(NamedTuple):
    """The rows of a batch in one dimension of a tensor, each with some entries of it.

    Attributes
    ----------
    dimension : int
        0 as a rule, 1 in a sequence-first transformer.
    entries : int
        How many entries of the dimension belong to a row: several where a model merges heads or strands into the batch.
    is_major : bool
        Whether the entries of a row follow each other; if not, the rows do.

    Examples
    --------
    >>> import torch
    >>> RowLayout(0, 2, False).by_row(torch.tensor([0, 1, 2, 10, 11, 12]), 3).tolist()
    [[0, 10], [1, 11], [2, 12]]
    """

    dimension: int = 0
    entries: int = 1
    is_major: bool = True

    def by_row(self, one: Tensor, rows: int) -> Tensor:
        """Return a tensor with `rows` as its first dimension, and with several entries as its second one."""
        first = one.movedim(self.dimension, 0) if self.dimension else one
        if self.entries == 1:
            return first
        if self.is_major:
            return first.reshape(rows, self.entries, *first.shape[1:])
        return first.reshape(self.entries, rows, *first.shape[1:]).transpose(0, 1)

    def restore(self, one: Tensor) -> Tensor:
        """Return a tensor that was sorted by row as it was before."""
        if self.entries > 1:
            one = (one if self.is_major else one.transpose(0, 1)).flatten(0, 1)
        return one.movedim(0, self.dimension)


def layout_of_shapes(recorded: Sequence[int], reference: Sequence[int], sequences: int) -> RowLayout | None:
    """Return the layout of an activation, given its shapes for sequences and for their references, or None.

    It is clear where one dimension alone is longer for the references, and has an entry for each sequence.

    Examples
    --------
    >>> layout_of_shapes((7, 2, 5), (7, 6, 5), sequences=2)
    RowLayout(dimension=1, entries=1, is_major=True)
    >>> layout_of_shapes((4, 5), (12, 5), sequences=2) is None
    True
    """
    longer = differing_dimension(recorded, reference)
    if longer is None or recorded[longer] != sequences or reference[longer] % sequences:
        return None
    return RowLayout(longer)


def find_row_layout(alone: Tensor, both: Tensor, name: str) -> RowLayout:
    """Return the layout of an activation, given that of a row alone, and of the same row and another one.

    Parameters
    ----------
    alone, both : torch.Tensor
    name : str
        Of the module, for the error.

    Raises
    ------
    UnsupportedOperation
        If no dimension is twice as long for two rows.
    """
    longer = differing_dimension(alone.shape, both.shape)
    if longer is None or both.shape[longer] != 2 * alone.shape[longer]:
        raise UnsupportedOperation(
            f"the output of {name!r} has the shape {tuple(alone.shape)} for one sequence and {tuple(both.shape)} for "
            "two: expected a single dimension to be twice as long; name another module in layers."
        )
    layouts = [RowLayout(longer, alone.shape[longer], is_major) for is_major in (True, False)]
    if layouts[0].entries == 1:
        return layouts[0]
    apart = [float((one.by_row(both, 2)[0] - one.by_row(alone, 1)[0]).abs().double().sum()) for one in layouts]
    return layouts[0] if apart[0] <= apart[1] else layouts[1]
