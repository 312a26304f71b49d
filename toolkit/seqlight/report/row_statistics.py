"""What a run's attributions come to, a few numbers for each row, read a shard at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.exports.target_column import target_column
from seqlight.results.results import Results

Floats = NDArray[np.float64]
COLUMNS = ("outputs", "strengths", "missed", "errors", "spreads", "baseline_errors")


@dataclass(frozen=True)
class RowStatistics:
    """A few numbers for each row of a run of attributions, and for each position.

    Attributes
    ----------
    outputs : numpy.ndarray, float64, shape (rows,)
        What is explained.
    strengths : numpy.ndarray, float64, shape (rows,)
        The sum of absolute attributions; NaN where one is not finite.
    peaks : numpy.ndarray, int64, shape (rows,)
        The position of the largest absolute attribution.
    missed : numpy.ndarray, float64, shape (rows,)
        The largest convergence delta of a row as a share of its mean absolute output difference; NaN if unknown.
    errors : numpy.ndarray, float64, shape (rows,)
        The norm of the standard error as a share of that of the attributions, over the letters of the sequence; NaN if
        the run kept none.
    spreads : numpy.ndarray, float64, shape (rows,)
        The same for the spread between the models of an ensemble.
    baseline_errors : numpy.ndarray, float64, shape (rows,)
        The standard error of the mean output of a row's references, as a share of how far the row's output is from it;
        NaN if unknown.
    references : numpy.ndarray, int64, shape (rows,)
        How many references each row was compared with.
    profile : numpy.ndarray, float64, shape (positions,)
        The mean absolute attribution of each position, over finite rows.
    """

    outputs: Floats
    strengths: Floats
    peaks: NDArray[np.int64]
    missed: Floats
    errors: Floats
    spreads: Floats
    baseline_errors: Floats
    references: NDArray[np.int64]
    profile: Floats

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Whether all attributions of a row are finite."""
        return np.isfinite(self.strengths)

    @classmethod
    def from_results(cls, results: Results, target: int | None) -> RowStatistics:
        """Read the attributions of a target once."""
        n, length = len(results), results["attributions"].shape[-1]
        columns = {name: np.full(n, np.nan) for name in COLUMNS}
        peaks, references = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        total, first = np.zeros(length), 0
        # Infinities make numbers that are none, which are counted and said.
        with np.errstate(invalid="ignore", over="ignore"):
            for block in _blocks(results, target):
                rows = slice(first, first + len(block["attributions"]))
                track = np.abs(block["attributions"].sum(axis=1, dtype=np.float64))
                columns["outputs"][rows] = block["outputs"]
                columns["strengths"][rows] = track.sum(axis=1)
                peaks[rows] = np.nan_to_num(track).argmax(axis=1)
                columns["missed"][rows], references[rows] = _missed(block)
                columns["errors"][rows] = _relative_size(block, "standard_error")
                columns["spreads"][rows] = _relative_size(block, "spread")
                columns["baseline_errors"][rows] = _baseline_errors(block)
                total += track[np.isfinite(columns["strengths"][rows])].sum(axis=0)
                first = rows.stop
        finite = int(np.isfinite(columns["strengths"]).sum())
        return cls(peaks=peaks, references=references, profile=total / max(finite, 1), **columns)


def _blocks(results: Results, target: int | None) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the arrays that statistics are made of, a shard at a time."""
    wanted = ("attributions", "outputs", "reference_outputs", "deltas", "standard_error", "spread")
    names = [name for name in wanted if name in results]
    columns = [target_column(results, name, target).blocks() for name in names]
    if "sequences" in results:
        # Sequences have no dimension of targets.
        names, columns = [*names, "sequences"], [*columns, results["sequences"].blocks()]
    for arrays in zip(*columns, strict=True):
        yield dict(zip(names, arrays, strict=True))


def _missed(block: dict[str, NDArray[Any]]) -> tuple[Floats, NDArray[np.int64]]:
    """Return the largest relative delta of each row, and its number of references."""
    n = len(block["attributions"])
    if "deltas" not in block or "reference_outputs" not in block or not block["deltas"].shape[1]:
        return np.full(n, np.nan), np.zeros(n, dtype=np.int64)
    baselines, deltas = (block[name].astype(np.float64) for name in ("reference_outputs", "deltas"))
    # What is behind the references of a row is NaN.
    there = ~np.isnan(baselines)
    counts = there.sum(axis=1)
    differences = np.where(there, np.abs(block["outputs"][:, None] - baselines), 0.0)
    sizes = differences.sum(axis=1) / np.maximum(counts, 1)
    largest = np.where(there, np.abs(deltas), 0.0).max(axis=1)
    shares = np.divide(largest, sizes, out=np.full(n, np.nan), where=sizes > 0)
    return np.where(counts > 0, shares, np.nan), counts.astype(np.int64)


def _baseline_errors(block: dict[str, NDArray[Any]]) -> Floats:
    """Return the standard error of the mean output of each row's references, as a share of the output difference."""
    n = len(block["attributions"])
    if "reference_outputs" not in block:
        return np.full(n, np.nan)
    baselines = block["reference_outputs"].astype(np.float64)
    there = ~np.isnan(baselines)
    counts = there.sum(axis=1)
    means = np.where(there, baselines, 0.0).sum(axis=1) / np.maximum(counts, 1)
    squares = np.square(np.where(there, baselines - means[:, None], 0.0)).sum(axis=1)
    # One reference does not say how far others are from it.
    error = np.sqrt(squares / np.maximum(counts - 1, 1) / np.maximum(counts, 1))
    size = np.abs(block["outputs"] - means)
    return np.asarray(np.divide(error, size, out=np.full(n, np.nan), where=(size > 0) & (counts > 1)))


def _relative_size(block: dict[str, NDArray[Any]], name: str) -> Floats:
    """Return the norm of an array of each row as a share of that of its attributions, over letters of the sequence."""
    values = block["attributions"].astype(np.float64)
    if name not in block:
        return np.full(len(values), np.nan)
    there = block["sequences"] != 0 if "sequences" in block else values != 0
    found = np.where(there, np.square(block[name], dtype=np.float64), 0.0).sum(axis=(1, 2))
    size = np.square(values).sum(axis=(1, 2))
    shares = np.divide(found, size, out=np.full(len(values), np.nan), where=size > 0)
    return np.asarray(np.sqrt(shares), dtype=np.float64)
