"""The counts of a model: how much signal it expects of a sequence, whatever its shape."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.targets.heads import (
    Head,
    require_head,
    require_index,
    require_one_of,
    require_task,
    select_head,
    shape_of,
)
from seqlight.targets.named_target import NamedTarget


@dataclass(frozen=True)
class Counts(NamedTarget):
    r"""The total of a head: :math:`\sum_j y_j`, its logarithm, or the logarithm of the total of exponentials.

    For a head of log counts, (rows, 1) or (rows, strands), the sum is what is explained of BPNet and chromBPNet: the
    log counts, added over strands. For a head of rates by position, as that of Basenji, it is the total rate.

    Parameters
    ----------
    task : int, optional
        The task, along the second dimension (the last one with `channels_last`); all of them if None.
    reduction : "sum", "log_sum" or "logsumexp"
        :math:`\sum_j y_j`; :math:`\log(c + \sum_j y_j)` for counts, with the pseudocount c; or
        :math:`\log \sum_j e^{y_j}` for log counts by strand, whose total is wanted.
    pseudocount : float
        c, for "log_sum".
    head : int, str, tuple of these, optional
        Which of the model's outputs: 1 for a model that returns (profile, counts).
    channels_last : bool
        Whether tasks are the last dimension.

    Raises
    ------
    InputError
        If an argument cannot be used, or when it is read, if there is no such head or task.

    References
    ----------
    Avsec and others (2021), Base-resolution models of transcription-factor binding reveal soft motif syntax.

    Examples
    --------
    >>> profile, log_counts = torch.zeros(2, 2, 100), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> Counts(head=1)((profile, log_counts))
    tensor([3., 7.])
    """

    task: int | None = None
    reduction: Literal["sum", "log_sum", "logsumexp"] = "sum"
    pseudocount: float = 1.0
    head: Head = None
    channels_last: bool = False
    name: ClassVar[str] = "counts"

    def __post_init__(self) -> None:
        require_head(self.head)
        if self.task is not None:
            require_index(self.task, "task")
        require_one_of(self.reduction, ("sum", "log_sum", "logsumexp"), "reduction")
        if not isinstance(self.pseudocount, Real) or not 0 <= self.pseudocount < float("inf"):
            raise InputError(f"pseudocount is {self.pseudocount!r}: expected 0 or more.")

    def __call__(self, output: Any) -> Tensor:
        """Return the total of each row, shape (rows,)."""
        y = select_head(output, self.head)
        shape = shape_of(y)
        if not shape:
            y, shape = y.reshape(1), torch.Size((1,))  # a model that squeezes its output, with a batch of one
        if self.task is not None:
            if len(shape) < 2:
                raise InputError(f"task is {self.task} and the output has shape {tuple(shape)}: it has no tasks.")
            dim = len(shape) - 1 if self.channels_last else 1
            y = y.select(dim, require_task(self.task, shape[dim]))
        y = y.reshape(shape[0], -1)
        if self.reduction == "logsumexp":
            return y.logsumexp(dim=1)
        total = y.sum(dim=1)
        return total if self.reduction == "sum" else (total + self.pseudocount).log()
