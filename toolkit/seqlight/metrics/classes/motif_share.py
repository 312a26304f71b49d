"""The share of attribution where motifs are, over batches."""

from __future__ import annotations

from typing import Any

import pandas as pd
from torch import Tensor

from seqlight.metrics.classes.running_ratio import RunningShare
from seqlight.metrics.motif_share import interval_tally, require_window, window_tally


class MotifWindowShare(RunningShare):
    """:func:`seqlight.metrics.motif_window_share` over batches: the positive attribution inside a window.

    Parameters
    ----------
    start, end : int
        The window, ``start <= position < end``, the same in every sequence.
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If there is no such window.

    Examples
    --------
    >>> import torch
    >>> from seqlight.metrics import MotifWindowShare
    >>> metric = MotifWindowShare(0, 2)
    >>> metric.update(torch.tensor([[3.0, 0.0, 0.0]]))
    >>> metric.update(torch.tensor([[0.0, 0.0, 1.0]]))
    >>> float(metric.compute())
    0.75
    """

    def __init__(self, start: int, end: int, **settings: Any) -> None:
        window = require_window(start, end)
        super().__init__(window, zero_division=0.0, **settings)
        self.window = window

    def update(self, attributions: Tensor) -> None:
        """Add a batch, shape (sequences, letters, positions) or (sequences, positions)."""
        self.add(window_tally(attributions, *self.window))


class MotifIntervalShare(RunningShare):
    """:func:`seqlight.metrics.motif_interval_share` over batches: the positive attribution inside known motifs.

    Parameters
    ----------
    settings
        As in ``torchmetrics.Metric``.

    Examples
    --------
    >>> import pandas as pd
    >>> import torch
    >>> from seqlight.metrics import MotifIntervalShare
    >>> metric = MotifIntervalShare()
    >>> metric.update(torch.ones(2, 1, 4), pd.DataFrame({"example_idx": [1], "start": [0], "end": [2]}))
    >>> float(metric.compute())
    0.25
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(zero_division=0.0, **settings)

    def update(self, attributions: Tensor, known: pd.DataFrame) -> None:
        """Add a batch, and a table whose example_idx are rows of the batch."""
        self.add(interval_tally(attributions, known))
