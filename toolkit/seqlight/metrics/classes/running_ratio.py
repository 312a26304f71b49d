"""A ratio of two sums that runs over batches and processes: what most metric classes are."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from seqlight.metrics.classes.running_metric import RunningMetric
from seqlight.metrics.ratios import NAN, Reduction, Tally, quotient, require_choice, sum_dtype


class RunningRatio(RunningMetric):
    """Numerators and denominators of batches, summed in float64.

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
        super().__init__((*arguments, reduction), **settings)
        require_choice(reduction, "reduction", ("mean", "none"))
        self.over, self.reduction, self.zero_division = over, reduction, zero_division
        kept = reduction == "none"
        for name in ("top", "bottom"):
            default: Any = [] if kept else torch.zeros(shape, dtype=torch.float64)
            self.add_state(name, default, dist_reduce_fx="cat" if kept else over)

    def compute(self) -> Tensor:
        """Return the ratio over all batches so far."""
        if self.reduction == "none":
            empty = torch.zeros(0, dtype=sum_dtype(self.device), device=self.device)
            top, bottom = (dim_zero_cat(one) if len(one) else empty for one in (self.top, self.bottom))
            return quotient(top, bottom, self.zero_division)
        assert isinstance(self.top, Tensor)
        assert isinstance(self.bottom, Tensor)
        return quotient(self.top, self.bottom, self.zero_division)

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


class RunningShare(RunningRatio):
    """A share: 0 to 1, the higher the better."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
