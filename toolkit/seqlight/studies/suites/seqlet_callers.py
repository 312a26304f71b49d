"""Seqlet callers of three packages under one small interface: a track in, intervals out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from seqlight.seqlets.modisco.caller import tfmodisco_seqlets
from seqlight.seqlets.recursive.caller import recursive_seqlets
from seqlight.studies.suites.tracks import Track

THRESHOLD, TARGET_FDR, WINDOW, FLANK = 0.01, 0.1, 21, 10
TANGERMEME_TFMODISCO = "tangermeme tfmodisco_seqlets"
COLUMNS = ["example_idx", "start", "end"]


@dataclass(frozen=True)
class Caller:
    """A caller with its settings.

    Attributes
    ----------
    call : callable
        Returns a table with the columns example_idx, start, end and attribution.
    flank : int
        Positions at either end of a call that the caller adds to what it has found.
    same_as : str
        The caller whose calls these should be, "" if there is none.
    slow : bool
        Whether it takes seconds rather than milliseconds.
    """

    call: Callable[[Track], pd.DataFrame]
    flank: int = 0
    same_as: str = ""
    slow: bool = False

    def positive_cores(self, seqlets: pd.DataFrame) -> pd.DataFrame:
        """Return what was called with a positive sum, without what was added to its ends."""
        seqlets = seqlets[seqlets["attribution"] > 0]
        return seqlets.assign(start=seqlets["start"] + self.flank, end=seqlets["end"] - self.flank)[COLUMNS]


def _recursive(track: Track) -> pd.DataFrame:
    return recursive_seqlets(track.values, THRESHOLD, sign="positive")


def _tangermeme_recursive(track: Track) -> pd.DataFrame:
    from tangermeme.seqlet import recursive_seqlets as theirs

    return pd.DataFrame(theirs(track.values, THRESHOLD))


def _at_a_rate(track: Track) -> pd.DataFrame:
    with warnings.catch_warnings():
        # That no threshold reaches the rate shows in the table.
        warnings.simplefilter("ignore")
        return recursive_seqlets(track.values, X_control=track.control, target_fdr=TARGET_FDR, sign="positive")


def _tangermeme_at_a_rate(track: Track) -> pd.DataFrame:
    from tangermeme.seqlet import recursive_seqlets as theirs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.DataFrame(theirs(track.values, X_control=track.control, target_fdr=TARGET_FDR))


def _tfmodisco(track: Track) -> pd.DataFrame:
    return tfmodisco_seqlets(track.values, WINDOW, FLANK)


def _tangermeme_tfmodisco(track: Track) -> pd.DataFrame:
    from tangermeme.seqlet import tfmodisco_seqlets as theirs

    with warnings.catch_warnings():
        # NumPy says that it calls it in a way to be dropped.
        warnings.simplefilter("ignore")
        # It takes single precision only.
        return pd.DataFrame(theirs(torch.from_numpy(track.values.astype(np.float32)), WINDOW, FLANK))


def _tangermeme_tfmodisco_sorted(track: Track) -> pd.DataFrame:
    from tangermeme import seqlet

    with replaced(seqlet, "_isotonic_thresholds", _in_order(seqlet._isotonic_thresholds)):
        return _tangermeme_tfmodisco(track)


def _tangermeme_tfmodisco_mended(track: Track) -> pd.DataFrame:
    from tangermeme import seqlet

    with replaced(seqlet, "_laplacian_null", _modisco_lite_null):
        return _tangermeme_tfmodisco_sorted(track)


@contextmanager
def replaced(module: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Put another function into a module for a while."""
    theirs = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, theirs)


def _in_order(theirs: Callable[..., float]) -> Callable[..., float]:
    """Return tangermeme's function for thresholds, given the sums of windows in order, as modisco-lite does it."""

    def function(values: torch.Tensor, null_values: torch.Tensor, increasing: bool, target_fdr: float) -> float:
        ordered = torch.sort(values, descending=not increasing).values
        return theirs(ordered, null_values, increasing, target_fdr)

    return function


def _modisco_lite_null(sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values of modisco-lite's null, whose scale is from the percentiles 5 to 95 rather than 0 to 90."""
    from modiscolite.extract_seqlets import _laplacian_null

    positive, negative = _laplacian_null(sums.double().numpy(), WINDOW, 10_000)
    return torch.from_numpy(positive), torch.from_numpy(negative)


def _modisco_lite(track: Track) -> pd.DataFrame:
    from modiscolite.extract_seqlets import extract_seqlets

    seqlets, _ = extract_seqlets(
        track.values.copy(),
        window_size=WINDOW,
        flank=FLANK,
        suppress=WINDOW // 2 + FLANK,
        target_fdr=0.2,
        min_passing_windows_frac=0.03,
        max_passing_windows_frac=0.2,
        weak_threshold_for_counting_sign=0.8,
    )
    spans = np.array([(one.example_idx, one.start, one.end) for one in seqlets], dtype=np.int64).reshape(-1, 3)
    cores = [track.values[row, start + FLANK : end - FLANK].sum() for row, start, end in spans]
    return pd.DataFrame(spans, columns=COLUMNS).assign(attribution=np.array(cores, dtype=np.float64))


CALLERS: dict[str, Caller] = {
    "recursive_seqlets": Caller(_recursive),
    "tangermeme recursive_seqlets": Caller(_tangermeme_recursive, same_as="recursive_seqlets"),
    "recursive_seqlets at a rate": Caller(_at_a_rate),
    "tangermeme recursive_seqlets at a rate": Caller(_tangermeme_at_a_rate, same_as="recursive_seqlets at a rate"),
    "tfmodisco_seqlets": Caller(_tfmodisco, FLANK),
    "modisco-lite": Caller(_modisco_lite, FLANK, same_as="tfmodisco_seqlets"),
    TANGERMEME_TFMODISCO: Caller(_tangermeme_tfmodisco, FLANK, "tfmodisco_seqlets", slow=True),
    f"{TANGERMEME_TFMODISCO}, sums sorted": Caller(_tangermeme_tfmodisco_sorted, FLANK, "tfmodisco_seqlets", slow=True),
    f"{TANGERMEME_TFMODISCO}, sums sorted, null of modisco-lite": Caller(
        _tangermeme_tfmodisco_mended, FLANK, "tfmodisco_seqlets", slow=True
    ),
}
