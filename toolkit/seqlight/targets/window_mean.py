"""The mean of an output over a window of positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from seqlight.errors import InputError
from seqlight.targets.heads import (
    Head,
    as_tracks,
    require_bounds,
    require_head,
    require_index,
    require_task,
    require_window,
    shape_of,
)
from seqlight.targets.named_target import NamedTarget


@dataclass(frozen=True)
class WindowMean(NamedTarget):
    r"""The mean over a window of positions: :math:`\frac{1}{e-s} \sum_{s \le i < e} y_{t,i}`.

    For the signal over a promoter or a peak in the output of a model that predicts tracks.

    Parameters
    ----------
    start, end : int, optional
        The window, in positions of the output: ``start <= i < end``. All positions if both are None.
    task : int, optional
        The task; the mean over all tasks if None.
    head : int, str, tuple of these, optional
        Which of the model's outputs.
    channels_last : bool
        Whether the output is (rows, positions, tasks) instead of (rows, tasks, positions).

    Raises
    ------
    InputError
        If an argument cannot be used, or when it is read, if the output has no such positions or task.

    Examples
    --------
    >>> import torch
    >>> WindowMean(1, 3, task=0)(torch.arange(8.0).view(1, 2, 4))
    tensor([1.5000])
    """

    start: int | None = None
    end: int | None = None
    task: int | None = None
    head: Head = None
    channels_last: bool = False
    name: ClassVar[str] = "window_mean"

    def __post_init__(self) -> None:
        require_head(self.head)
        if (self.start is None) != (self.end is None):
            raise InputError(f"the window is {self.start} to {self.end}: expected both of start and end, or neither.")
        require_bounds(None if self.start is None else (self.start, self.end))
        if self.task is not None:
            require_index(self.task, "task")

    def __call__(self, output: Any) -> Tensor:
        """Return the mean of each row, shape (rows,)."""
        y = as_tracks(output, self.head, self.channels_last)
        shape = shape_of(y)
        window = None if self.start is None or self.end is None else (self.start, self.end)
        y = y[:, :, require_window(window, shape[2])]
        if self.task is not None:
            return y[:, require_task(self.task, shape[1])].mean(dim=1)
        return y.mean(dim=(1, 2))
