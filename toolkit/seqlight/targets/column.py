"""A column, or a place in an output of more dimensions, of one of a model's heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from seqlight.targets.heads import Head, require_head, select_head
from seqlight.targets.named_target import NamedTarget
from seqlight.targets.output_entries import read_entry


@dataclass(frozen=True)
class Column(NamedTarget):
    r"""A column of the output: :math:`y_k`.

    The same as the number or the tuple alone, for a model that returns one tensor.

    Parameters
    ----------
    index : int or tuple of int
        The column, or one index for each dimension except the first.
    head : int, str, tuple of these, optional
        Which of the model's outputs.

    Raises
    ------
    InputError
        When it is read, if the output has no such column.

    Examples
    --------
    >>> import torch
    >>> Column(2, head="logits")({"logits": torch.arange(6.0).view(2, 3)})
    tensor([2., 5.])
    """

    index: int | tuple[int, ...] = 0
    head: Head = None
    name: ClassVar[str] = "column"

    def __post_init__(self) -> None:
        require_head(self.head)

    def __call__(self, output: Any) -> Tensor:
        """Return the number of each row, shape (rows,)."""
        return read_entry(self.index, select_head(output, self.head))
