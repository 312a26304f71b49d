"""How specific an output is for one task: that task against the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from seqlight.errors import InputError
from seqlight.targets.heads import (
    Head,
    as_tracks,
    require_bounds,
    require_head,
    require_index,
    require_one_of,
    require_task,
    require_window,
    select_head,
    shape_of,
)
from seqlight.targets.named_target import NamedTarget


@dataclass(frozen=True)
class Specificity(NamedTarget):
    r"""One task against others: :math:`y_t - \frac{1}{|O|} \sum_{o \in O} y_o`, or :math:`y_t - \max_{o \in O} y_o`.

    What makes a sequence active in this cell type rather than everywhere. Outputs are compared on the scale on which
    the model gives them: for a ratio, let them be logarithms.

    Parameters
    ----------
    task : int
        The task, t.
    others : tuple of int, optional
        The others, O; all tasks but t if None.
    against : "mean" or "max"
        Whether to compare with the mean of the others, or with the highest of them.
    window : tuple of int, optional
        For an output with positions: the start and the end of those to take the mean over. All if None.
    head : int, str, tuple of these, optional
        Which of the model's outputs.
    channels_last : bool
        Whether an output with positions is (rows, positions, tasks).

    Raises
    ------
    InputError
        If an argument cannot be used, or when it is read, if the output has no such tasks or positions.

    References
    ----------
    The difference to the others' mean is a contrast as in analysis of variance; against "max" it is the margin of
    Crammer and Singer (2001), On the algorithmic implementation of multiclass kernel-based vector machines.

    Examples
    --------
    >>> import torch
    >>> y = torch.tensor([[4.0, 1.0, 3.0]])
    >>> Specificity(0)(y), Specificity(0, against="max")(y)
    (tensor([2.]), tensor([1.]))
    """

    task: int
    others: tuple[int, ...] | None = None
    against: Literal["mean", "max"] = "mean"
    window: tuple[int, int] | None = None
    head: Head = None
    channels_last: bool = False
    name: ClassVar[str] = "specificity"

    def __post_init__(self) -> None:
        require_head(self.head)
        require_index(self.task, "task")
        require_one_of(self.against, ("mean", "max"), "against")
        # YAML and JSON have lists only, and a value has to be hashable.
        for field in ("others", "window"):
            if isinstance(getattr(self, field), list):
                object.__setattr__(self, field, tuple(getattr(self, field)))
        require_bounds(self.window)
        if not (self.others is None or isinstance(self.others, tuple)):
            raise InputError(f"others are {self.others!r}: expected tasks, such as (1, 2).")
        for one in self.others or ():
            require_index(one, "one of others")
        if self.others is not None and (not self.others or len(set(self.others)) < len(self.others)):
            raise InputError(f"others are {self.others}: expected at least one task, and each once.")

    def __call__(self, output: Any) -> Tensor:
        """Return the difference of each row, shape (rows,)."""
        y = self._tasks(output)
        tasks = shape_of(y)[1]
        mine = require_task(self.task, tasks)
        others = range(tasks) if self.others is None else self.others
        chosen = [one for one in (require_task(other, tasks) for other in others) if one != mine or self.others]
        if len(set(chosen)) < len(chosen):
            raise InputError(
                f"others are {self.others}, and the output has {tasks} tasks, so that two of them are one: expected "
                "each task once."
            )
        if not chosen or mine in chosen:
            raise InputError(f"task {self.task} of {tasks} has no others to be compared with: expected another task.")
        rest = y[:, chosen]
        return y[:, mine] - (rest.mean(dim=1) if self.against == "mean" else rest.amax(dim=1))

    def _tasks(self, output: Any) -> Tensor:
        """Return the output as (rows, tasks)."""
        if self.window is None and len(shape_of(y := select_head(output, self.head))) == 2:
            return y
        y = as_tracks(output, self.head, self.channels_last)
        return y[:, :, require_window(self.window, shape_of(y)[2])].mean(dim=2)
