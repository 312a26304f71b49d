"""A ratio of two sums that runs over batches and processes: what every metric class is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from seqlight.metrics.ratios import NAN, Reduction, Tally, quotient, require_choice, sum_dtype

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class RunningRatio(Metric):
    """Numerators and denominators of batches, summed in float64.

    Sums are in float64 whatever the dtype of a model or a batch; in float32 on a device that has no float64.
    Moving or converting the module that holds a metric moves the metric and never narrows it.

    Parameters
    ----------
    arguments : tuple
        The arguments of the metric. Two metrics of one class with the same arguments are the same.
    shape : tuple of int
        The shape of the result.
    over : str
        Whether numerators and denominators are reduced over sequences by their "sum" or their "max".
    reduction : str
        "mean" for one result, or "none" for one for each sequence, those of the first process first.
    zero_division : float
        The result where both sums are 0.
    settings
        As in ``torchmetrics.Metric``.
    """

    full_state_update = False
    is_differentiable = False
    # MetricCollection merges two metrics whose states are equal after the first batch, such as a recall and a
    # precision of 1. This state, a digest of the class and its arguments, keeps them apart.
    told_apart: Tensor
    top: Tensor | list[Tensor]
    bottom: Tensor | list[Tensor]

    def __init__(
        self,
        arguments: tuple[object, ...] = (),
        *,
        shape: tuple[int, ...] = (),
        over: Literal["sum", "max"] = "sum",
        reduction: Reduction = "mean",
        zero_division: float = NAN,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        require_choice(reduction, "reduction", ("mean", "none"))
        self.over, self.reduction, self.zero_division = over, reduction, zero_division
        # A process without batches sends its empty list as a tensor of this dtype.
        self.set_dtype(torch.float64)
        kept = reduction == "none"
        for name in ("top", "bottom"):
            default: Any = [] if kept else torch.zeros(shape, dtype=torch.float64)
            self.add_state(name, default, dist_reduce_fx="cat" if kept else over)
        digest = hashlib.sha256(f"{type(self).__qualname__} {(*arguments, reduction)!r}".encode()).digest()
        self.add_state("told_apart", torch.tensor(list(digest[:8])), dist_reduce_fx="max")

    def compute(self) -> Tensor:
        """Return the ratio over all batches so far."""
        if self.reduction == "none":
            empty = torch.zeros(0, dtype=sum_dtype(self.device), device=self.device)
            top, bottom = (dim_zero_cat(one) if len(one) else empty for one in (self.top, self.bottom))
            return quotient(top, bottom, self.zero_division)
        assert isinstance(self.top, Tensor)
        assert isinstance(self.bottom, Tensor)
        return quotient(self.top, self.bottom, self.zero_division)

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

    def add(self, tally: Tally) -> None:
        """Add the tally of a batch."""
        top, bottom = (one.to(device=self.device, dtype=sum_dtype(self.device)) for one in tally)
        if isinstance(self.top, list) or isinstance(self.bottom, list):
            assert isinstance(self.top, list)
            assert isinstance(self.bottom, list)
            self.top.append(top)
            self.bottom.append(bottom)
        elif self.over == "max":
            self.top, self.bottom = torch.maximum(self.top, top.amax(0)), torch.maximum(self.bottom, bottom.amax(0))
        else:
            self.top, self.bottom = self.top + top.sum(0), self.bottom + bottom.sum(0)

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ()) -> RunningRatio:
        """Move as `fn` does but keep the dtype of sums; ``.to``, ``.cuda``, ``.half`` of any parent end here."""

        def move(tensor: Tensor) -> Tensor:
            if not tensor.is_floating_point():
                return fn(tensor)
            # Narrow before moving: a device without float64 refuses float64 tensors.
            device = fn(torch.empty(0, dtype=torch.float32, device=tensor.device)).device
            return tensor.to(dtype=sum_dtype(device)).to(device)

        super()._apply(move, exclude_state)
        return self


class RunningShare(RunningRatio):
    """A share: 0 to 1, the higher the better."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
