"""What every metric class has in common: sums in float64 wherever it is moved, and an identity of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from torchmetrics import Metric

from seqlight.metrics.ratios import sum_dtype
from seqlight.prediction.device_dtypes import has_float64

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class RunningMetric(Metric):
    """States over batches, in float64.

    They are in float64 whatever the dtype of a model or a batch; in float32 on a device that has no float64.
    Moving or converting the module that holds a metric moves the metric and never narrows it.

    Parameters
    ----------
    arguments : tuple
        The arguments of the metric. Two metrics of one class with the same arguments are the same.
    settings
        As in ``torchmetrics.Metric``.
    """

    full_state_update = False
    is_differentiable = False
    # MetricCollection merges two metrics whose states are equal after the first batch, such as a recall and a
    # precision of 1. This state, a digest of the class and its arguments, keeps them apart.
    told_apart: Tensor

    def __init__(self, arguments: tuple[object, ...], **settings: Any) -> None:
        super().__init__(**settings)
        # A process without batches sends its empty list as a tensor of this dtype.
        self.set_dtype(torch.float64)
        digest = hashlib.sha256(f"{type(self).__qualname__} {arguments!r}".encode()).digest()
        self.add_state("told_apart", torch.tensor(list(digest[:8])), dist_reduce_fx="max")

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Axes | None = None) -> tuple[Figure | None, Axes]:
        """Draw one result, or several one after the other, as the metrics of torchmetrics do.

        Parameters
        ----------
        val : torch.Tensor or sequence of torch.Tensor, optional
            What :meth:`compute` returned, or a list of such results, one for each step; None for the result so far.
        ax : matplotlib.axes.Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        tuple of matplotlib.figure.Figure and matplotlib.axes.Axes
            None in place of the figure if `ax` was given.
        """
        found: tuple[Any, Any] = self._plot(val, ax)
        return found

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ()) -> Self:
        """Move as `fn` does but keep the dtype of sums; ``.to``, ``.cuda``, ``.half`` of any parent end here."""

        def move(tensor: Tensor) -> Tensor:
            if not tensor.is_floating_point():
                return fn(tensor)
            device = fn(torch.empty(0, dtype=torch.float32, device=tensor.device)).device
            # A device without float64 refuses it: sums are narrowed before they get there, and widened after they left.
            if has_float64(tensor.device):
                return tensor.to(dtype=sum_dtype(device)).to(device)
            return tensor.to(device).to(dtype=sum_dtype(device))

        super()._apply(move, exclude_state)
        return self
