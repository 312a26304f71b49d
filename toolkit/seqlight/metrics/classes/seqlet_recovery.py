"""Attribution and seqlets where motifs are, over batches."""

from __future__ import annotations

from typing import Any

import pandas as pd
from torch import Tensor

from seqlight.metrics.classes.running_ratio import RunningRatio
from seqlight.metrics.motif_share import interval_tally, require_window, window_tally
from seqlight.metrics.overlap import require_overlap
from seqlight.metrics.seqlet_recovery import Thresholds, iou_tally, precision_tally, recall_tally, require_thresholds


class MotifWindowShare(RunningRatio):
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

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, start: int, end: int, **settings: Any) -> None:
        window = require_window(start, end)
        super().__init__(window, nothing=0.0, **settings)
        self.window = window

    def update(self, attributions: Tensor) -> None:
        """Add a batch, shape (sequences, letters, positions) or (sequences, positions)."""
        self.add(window_tally(attributions, *self.window))


class MotifIntervalShare(RunningRatio):
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

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, **settings: Any) -> None:
        super().__init__(nothing=0.0, **settings)

    def update(self, attributions: Tensor, known: pd.DataFrame) -> None:
        """Add a batch, and a table whose example_idx are rows of the batch."""
        self.add(interval_tally(attributions, known))


class SeqletRecall(RunningRatio):
    """:func:`seqlight.metrics.seqlet_recall` over batches: the share of known motifs that a seqlet finds.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        Only seqlets of a smaller p-value count; a result for each. None for all seqlets.
    min_overlap : int
        Positions that a seqlet and a motif of one example must share.
    min_iou : float
        The intersection over union that the two must have.
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If a number is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics import SeqletRecall
    >>> metric = SeqletRecall()
    >>> known = pd.DataFrame({"example_idx": [0, 1], "start": [4, 4], "end": [9, 9]})
    >>> metric.update(found=known[:1], known=known)
    >>> float(metric.compute())
    0.5
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Threshold"

    def __init__(
        self, thresholds: Thresholds = None, min_overlap: int = 1, min_iou: float = 0.0, **settings: Any
    ) -> None:
        require_overlap(min_overlap, min_iou)
        told = (thresholds, min_overlap, min_iou)
        super().__init__(told, shape=require_thresholds(thresholds), **settings)
        self.thresholds, self.min_overlap, self.min_iou = told

    def update(self, found: pd.DataFrame, known: pd.DataFrame) -> None:
        """Add a batch: two tables with columns example_idx, start and end."""
        self.add(recall_tally(found, known, self.thresholds, self.min_overlap, self.min_iou))


class SeqletPrecision(RunningRatio):
    """:func:`seqlight.metrics.seqlet_precision` over batches: the share of seqlets that find a known motif.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        Only seqlets of a smaller p-value count; a result for each. None for all seqlets.
    min_overlap : int
        Positions that a seqlet and a motif of one example must share.
    min_iou : float
        The intersection over union that the two must have.
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If a number is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics import SeqletPrecision
    >>> metric = SeqletPrecision()
    >>> known = pd.DataFrame({"example_idx": [0, 1], "start": [4, 4], "end": [9, 9]})
    >>> metric.update(found=known[:1], known=known)
    >>> float(metric.compute())
    1.0
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Threshold"

    def __init__(
        self, thresholds: Thresholds = None, min_overlap: int = 1, min_iou: float = 0.0, **settings: Any
    ) -> None:
        require_overlap(min_overlap, min_iou)
        told = (thresholds, min_overlap, min_iou)
        super().__init__(told, shape=require_thresholds(thresholds), **settings)
        self.thresholds, self.min_overlap, self.min_iou = told

    def update(self, found: pd.DataFrame, known: pd.DataFrame) -> None:
        """Add a batch: two tables with columns example_idx, start and end."""
        self.add(precision_tally(found, known, self.thresholds, self.min_overlap, self.min_iou))


class SeqletIoU(RunningRatio):
    """:func:`seqlight.metrics.seqlet_iou` over batches: positions in seqlets and in motifs, over those in either.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        Only seqlets of a smaller p-value count; a result for each. None for all seqlets.
    settings
        As in ``torchmetrics.Metric``.

    Raises
    ------
    InputError
        If a threshold is no p-value.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics import SeqletIoU
    >>> metric = SeqletIoU()
    >>> known = pd.DataFrame({"example_idx": [0, 1], "start": [4, 4], "end": [9, 9]})
    >>> metric.update(found=known[:1], known=known)
    >>> float(metric.compute())
    0.5
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Threshold"

    def __init__(self, thresholds: Thresholds = None, **settings: Any) -> None:
        super().__init__((thresholds,), shape=require_thresholds(thresholds), **settings)
        self.thresholds = thresholds

    def update(self, found: pd.DataFrame, known: pd.DataFrame) -> None:
        """Add a batch: two tables with columns example_idx, start and end."""
        self.add(iou_tally(found, known, self.thresholds))
