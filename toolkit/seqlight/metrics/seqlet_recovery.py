"""How well seqlets recover known motifs, at one or several thresholds on their p-values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.overlap import overlap_mask, shared_positions
from seqlight.metrics.ratios import Tally, ratio_of_sums

Thresholds = float | Sequence[float] | None


def seqlet_recall(
    found: pd.DataFrame,
    known: pd.DataFrame,
    thresholds: Thresholds = None,
    min_overlap: int = 1,
    min_iou: float = 0.0,
) -> Tensor:
    """Return the share of known motifs that a seqlet finds.

    Parameters
    ----------
    found, known : pandas.DataFrame
        Columns example_idx, start and end (``start <= position < end``); for thresholds, `found` has p-value too.
    thresholds : float or sequence of float, optional
        Only seqlets with a smaller p-value count; one result for each threshold. None for all seqlets.
    min_overlap : int
        Positions that a seqlet and a motif of one example must share.
    min_iou : float
        The intersection over union that the two must have.

    Returns
    -------
    torch.Tensor, float64, shape () or (thresholds,)
        0 to 1; NaN where no motif is known.

    Raises
    ------
    InputError
        If a table lacks a column or has an interval that ends before it starts, or a number is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics import seqlet_recall
    >>> found = pd.DataFrame({"example_idx": [0, 0], "start": [3, 20], "end": [8, 25], "p-value": [0.03, 0.001]})
    >>> known = pd.DataFrame({"example_idx": [0, 0], "start": [5, 20], "end": [12, 25]})
    >>> seqlet_recall(found, known, thresholds=[0.05, 0.01])
    tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    return ratio_of_sums(recall_tally(found, known, thresholds, min_overlap, min_iou))


def recall_tally(
    found: pd.DataFrame, known: pd.DataFrame, thresholds: Thresholds, min_overlap: int, min_iou: float
) -> Tally:
    """Return the number of motifs found, over those known."""
    tables = _below_thresholds(found, thresholds)
    reached = [int(overlap_mask(known, table, min_overlap, min_iou).sum()) for table in tables]
    return _tally(reached, [len(known)] * len(tables), thresholds)


def seqlet_precision(
    found: pd.DataFrame,
    known: pd.DataFrame,
    thresholds: Thresholds = None,
    min_overlap: int = 1,
    min_iou: float = 0.0,
) -> Tensor:
    """Return the share of seqlets that find a known motif.

    Parameters
    ----------
    found, known, thresholds, min_overlap, min_iou
        As in :func:`seqlet_recall`.

    Returns
    -------
    torch.Tensor, float64, shape () or (thresholds,)
        0 to 1; NaN where there is no seqlet.

    Raises
    ------
    InputError
        As in :func:`seqlet_recall`.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics import seqlet_precision
    >>> found = pd.DataFrame({"example_idx": [0, 0], "start": [3, 20], "end": [8, 25]})
    >>> known = pd.DataFrame({"example_idx": [0], "start": [5], "end": [12]})
    >>> float(seqlet_precision(found, known))
    0.5
    """
    return ratio_of_sums(precision_tally(found, known, thresholds, min_overlap, min_iou))


def precision_tally(
    found: pd.DataFrame, known: pd.DataFrame, thresholds: Thresholds, min_overlap: int, min_iou: float
) -> Tally:
    """Return the number of seqlets that find a motif, over all seqlets."""
    tables = _below_thresholds(found, thresholds)
    hits = [int(overlap_mask(table, known, min_overlap, min_iou).sum()) for table in tables]
    return _tally(hits, [len(table) for table in tables], thresholds)


def seqlet_iou(found: pd.DataFrame, known: pd.DataFrame, thresholds: Thresholds = None) -> Tensor:
    """Return the intersection over union of the positions in seqlets and those in known motifs.

    Parameters
    ----------
    found, known, thresholds
        As in :func:`seqlet_recall`.

    Returns
    -------
    torch.Tensor, float64, shape () or (thresholds,)
        0 to 1, of all examples together (Jaccard's index); NaN where there are neither seqlets nor motifs.

    Raises
    ------
    InputError
        As in :func:`seqlet_recall`.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight.metrics import seqlet_iou
    >>> found = pd.DataFrame({"example_idx": [0], "start": [3], "end": [9]})
    >>> float(seqlet_iou(found, pd.DataFrame({"example_idx": [0], "start": [6], "end": [15]})))
    0.25
    """
    return ratio_of_sums(iou_tally(found, known, thresholds))


def iou_tally(found: pd.DataFrame, known: pd.DataFrame, thresholds: Thresholds) -> Tally:
    """Return the number of positions in both, over that in either."""
    pairs = [shared_positions(table, known) for table in _below_thresholds(found, thresholds)]
    return _tally([both for both, _ in pairs], [either for _, either in pairs], thresholds)


def require_thresholds(thresholds: Thresholds) -> tuple[int, ...]:
    """Return the shape of a result for `thresholds`; raise InputError unless they are p-values."""
    if thresholds is None:
        return ()
    values = np.asarray(thresholds, dtype=float)
    if values.ndim > 1 or not values.size or not bool(((values > 0) & (values <= 1)).all()):
        raise InputError(f"thresholds is {thresholds!r}: expected p-values above 0 and at most 1, one or more.")
    return values.shape


def _below_thresholds(found: pd.DataFrame, thresholds: Thresholds) -> list[pd.DataFrame]:
    """Return the seqlets whose p-value is below each threshold, one table each."""
    require_thresholds(thresholds)
    if thresholds is None:
        return [found]
    if "p-value" not in found:
        raise InputError("found has no column 'p-value', to which thresholds apply: add it, or pass thresholds=None.")
    return [found[found["p-value"] < threshold] for threshold in np.ravel(thresholds)]


def _tally(top: list[int], bottom: list[int], thresholds: Thresholds) -> Tally:
    """Return counts as the tally of one batch, one number for each threshold."""
    shape = (1, *require_thresholds(thresholds))
    return Tally(*(torch.tensor(counts, dtype=torch.float64).reshape(shape) for counts in (top, bottom)))
