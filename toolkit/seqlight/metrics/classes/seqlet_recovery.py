"""How well seqlets recover known motifs, over batches."""

from __future__ import annotations

from typing import Any

import pandas as pd

from seqlight.metrics.classes.running_ratio import RunningShare
from seqlight.metrics.overlap import require_overlap
from seqlight.metrics.ratios import Tally
from seqlight.metrics.seqlet_recovery import Thresholds, iou_tally, precision_tally, recall_tally, require_thresholds


class _SeqletMatches(RunningShare):
    plot_legend_name = "Threshold"

    def __init__(
        self, thresholds: Thresholds = None, min_overlap: int = 1, min_iou: float = 0.0, **settings: Any
    ) -> None:
        require_overlap(min_overlap, min_iou)
        arguments = (thresholds, min_overlap, min_iou)
        super().__init__(arguments, shape=require_thresholds(thresholds), **settings)
        self.thresholds, self.min_overlap, self.min_iou = arguments

    @staticmethod
    def _tally(
        found: pd.DataFrame, known: pd.DataFrame, thresholds: Thresholds, min_overlap: int, min_iou: float
    ) -> Tally:
        raise NotImplementedError

    def update(self, found: pd.DataFrame, known: pd.DataFrame) -> None:
        """Add a batch: two tables with columns example_idx, start and end."""
        self.add(self._tally(found, known, self.thresholds, self.min_overlap, self.min_iou))


class SeqletRecall(_SeqletMatches):
    """:func:`seqlight.metrics.seqlet_recall` over batches: the share of known motifs that a seqlet finds.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        Only seqlets with a smaller p-value count; one result for each threshold. None for all seqlets.
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

    _tally = staticmethod(recall_tally)


class SeqletPrecision(_SeqletMatches):
    """:func:`seqlight.metrics.seqlet_precision` over batches: the share of seqlets that find a known motif.

    Parameters
    ----------
    thresholds, min_overlap, min_iou, settings
        As in :class:`SeqletRecall`.

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

    _tally = staticmethod(precision_tally)


class SeqletIoU(RunningShare):
    """:func:`seqlight.metrics.seqlet_iou` over batches: positions in seqlets and in motifs, over those in either.

    Parameters
    ----------
    thresholds, settings
        As in :class:`SeqletRecall`.

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

    plot_legend_name = "Threshold"

    def __init__(self, thresholds: Thresholds = None, **settings: Any) -> None:
        super().__init__((thresholds,), shape=require_thresholds(thresholds), **settings)
        self.thresholds = thresholds

    def update(self, found: pd.DataFrame, known: pd.DataFrame) -> None:
        """Add a batch: two tables with columns example_idx, start and end."""
        self.add(iou_tally(found, known, self.thresholds))
