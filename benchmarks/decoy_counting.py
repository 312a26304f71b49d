"""Find features by their scores, and count decoys among them to know how many are false."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Found(NamedTuple):
    """What is found at an estimated rate of false discoveries.

    Attributes
    ----------
    power : float
        The share of the features that matter which is found.
    false : float
        The share of what is found, decoys not counted, that does not matter; 0 if nothing is found.
    chosen : numpy.ndarray of bool
        Which features are found, decoys included.
    """

    power: float
    false: float
    chosen: NDArray[np.bool_]


def find(scores: NDArray[np.float64], is_decoy: NDArray[np.bool_], matters: NDArray[np.bool_], rate: float) -> Found:
    """Return the most features from the top whose estimated rate of false discoveries is at most `rate`.

    The estimate is the number of decoys over that of the other features, as if there were as many of both in all.

    Parameters
    ----------
    scores : numpy.ndarray, shape (features,)
        The largest are on top; equal ones come together.
    is_decoy, matters : numpy.ndarray of bool, shape (features,)
        No decoy matters.
    rate : float
    """
    values, level = np.unique(-scores, return_inverse=True)
    decoys = np.bincount(level, is_decoy, len(values)).cumsum()
    others = np.bincount(level, ~is_decoy, len(values)).cumsum()
    estimated = decoys / np.maximum(others, 1) * (~is_decoy).sum() / max(is_decoy.sum(), 1)
    allowed = np.flatnonzero((estimated <= rate) & (others > 0))
    chosen = level <= allowed[-1] if len(allowed) else np.zeros(len(scores), dtype=bool)
    real = chosen & ~is_decoy
    return Found(
        float((chosen & matters).sum() / matters.sum()), float((real & ~matters).sum() / max(real.sum(), 1)), chosen
    )


def recall(scores: NDArray[np.float64], matters: NDArray[np.bool_]) -> float:
    """Return the share of the features that matter among as many from the top."""
    top = np.argsort(-scores, kind="stable")[: matters.sum()]
    return float(matters[top].mean())
