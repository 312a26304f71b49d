"""The number of rows in a batch: as asked for, or as many as the memory of a device holds; halved where it runs out."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar

import torch
from torch import Tensor

from seqlight.errors import InputError, MemoryWarning
from seqlight.prediction.device_memory import (
    MemoryReading,
    is_out_of_memory,
    is_too_large,
    out_of_memory_error,
    read_memory,
    release_memory,
    shorten_reason,
)
from seqlight.sequence.checks import require_count

AskedBatchSize: TypeAlias = int | Literal["auto"]
T = TypeVar("T")
S = TypeVar("S", Tensor, range)

# Rows where a device does not report its memory, and in the first batch where it does.
FIRST_ROWS = 32
# Kernels do not get faster beyond so many rows, and a batch should not take long.
MOST_ROWS = 1024
# The share of the free memory that a batch may take: that of a few rows is measured, and others use the device, too.
SHARE = 0.6


def rows_that_fit(free: int, used: int, rows: int, most: int = MOST_ROWS) -> int:
    """Return how many rows fit into a share of the free memory.

    Parameters
    ----------
    free : int
        Bytes that are free before a batch.
    used : int
        Bytes that a batch takes in addition, or an upper bound.
    rows : int
        The number of rows in that batch.
    most : int
        The largest number to return.

    Returns
    -------
    int
        A power of two, or `most`, so that a little more or less free memory does not change it; at least 1.

    Examples
    --------
    >>> rows_that_fit(free=80_000, used=640, rows=32)
    1024
    >>> rows_that_fit(free=80_000, used=6_400, rows=32)
    128
    >>> rows_that_fit(free=80, used=6_400, rows=32)
    1
    """
    found = min(most, int(SHARE * free) * rows // max(1, used))
    return found if found == most else 1 << max(0, found.bit_length() - 1)


def require_batch_size(asked: Any, name: str = "batch_size") -> AskedBatchSize:
    """Return a number of rows or "auto"; raise InputError for anything else."""
    if isinstance(asked, str):
        if asked != "auto":
            raise InputError(f"{name} is {asked!r}: expected a number or 'auto'.")
        return "auto"
    return require_count(asked, name, least=1)


class BatchSize:
    """The number of rows that a call, or all batches of a run, send through a model at a time.

    Where memory runs out it is halved, whether it was asked for or learned, and the rows are computed again: results
    do not depend on it. Each process has its own.

    Parameters
    ----------
    asked : int, "auto" or None
        "auto" begins with a few rows; what these take says how many fit into the memory of the device. None for batches
        that others make: all of their rows at a time.
    device : torch.device
        Where the model runs.
    otherwise : int
        What "auto" means where a device does not report its memory.

    Attributes
    ----------
    rows : int
        The number of rows at a time, now.
    learns : bool
        Whether the next batches may show that more rows fit.

    Examples
    --------
    >>> BatchSize("auto", torch.device("cpu")).rows
    32
    >>> size = BatchSize(4, torch.device("cpu"))
    >>> list(size.parts(0, 10, lambda first, last: f"rows {first} to {last}"))
    [('rows 0 to 4', 4), ('rows 4 to 8', 4), ('rows 8 to 10', 2)]
    """

    def __init__(self, asked: AskedBatchSize | None, device: torch.device, otherwise: int = FIRST_ROWS) -> None:
        asked = sys.maxsize if asked is None else require_batch_size(asked)
        self.auto, self.device = asked == "auto", device
        self.learns = self.auto and read_memory(device) is not None
        self.rows = asked if isinstance(asked, int) else FIRST_ROWS if self.learns else otherwise
        self._too_many: int | None = None  # the first number of rows for which memory ran out

    def parts(self, first: int, last: int, compute: Callable[[int, int], T]) -> Iterator[tuple[T, int]]:
        """Yield ``compute(i, j)`` for consecutive ranges ``i <= row < j`` of the rows ``first <= row < last``.

        Each has at most `rows` rows, whose number comes with it; where memory runs out it is computed again in ranges
        of half as many.

        Raises
        ------
        OutOfMemory
            If there is not even memory for a single row.
        """
        while first < last:
            end = min(first + self.rows, last)
            # A list, which is empty once its entry is yielded, so that no name here keeps a batch's results.
            trial, found = self.trial(end - first), list[T]()
            with trial:
                found.append(compute(first, end))
            if trial.failed:
                self.halve(trial)
            else:
                yield found.pop(), end - first
                first = end

    def slices(self, rows: S) -> Iterator[S]:
        """Yield slices of something that has rows, in order, each as large as batches are by then."""
        first = 0
        while first < len(rows):
            last = first + self.rows
            yield rows[first:last]
            first = last

    def ranges(self, rows: int, n: int) -> Iterator[tuple[int, int]]:
        """Yield the rows ``first <= i < last`` of each batch, as large as batches are by then; each has `n` references.

        Examples
        --------
        >>> list(BatchSize(6, torch.device("cpu")).ranges(5, n=3))
        [(0, 2), (2, 4), (4, 5)]
        """
        first = 0
        while first < rows:
            last = min(first + self.copies(n), rows)
            yield first, last
            first = last

    def copies(self, rows: int) -> int:
        """Return how many copies of each of some rows fit into a batch; at least one."""
        return max(1, self.rows // rows)

    def trial(self, rows: int, measured: bool = True) -> BatchTrial:
        """Return a context to compute a batch of `rows` in; not to be measured if a part of it was done before."""
        return BatchTrial(self, rows, measured and self.learns)

    def halve(self, trial: BatchTrial) -> None:
        """Take half of the rows of a trial that failed, outside its context, where nothing of it is in use any more.

        Raises
        ------
        OutOfMemory
            If it had a single row.
        """
        release_memory(self.device)
        if trial.rows == 1:
            remedy = "use shorter sequences, fewer targets, a smaller dtype"
            raise out_of_memory_error(self.device, "a single row of a batch", trial.reason, remedy)
        self.learns, self.rows = False, trial.rows // 2
        self._too_many = self._too_many or trial.rows

    def learn(self, before: MemoryReading, rows: int) -> None:
        """Take as many rows as fit, by what a batch of `rows` took since the reading `before` it."""
        after = read_memory(self.device)
        used = 0 if after is None else before.used_until(after)
        fitting = rows_that_fit(before.free, used, rows) if used else 0
        # What few rows take is an upper bound of what each of many takes: a larger batch may show that more fit.
        is_full = 2 * rows > self.rows
        self.learns = fitting < MOST_ROWS and (self.rows < fitting or not is_full)
        self.rows = max(self.rows, fitting)

    def warn_if_reduced(self, stacklevel: int) -> None:
        """Warn, once, if the size that was asked for did not fit; `stacklevel` is counted from the caller of this."""
        if self._too_many is not None and not self.auto:
            warnings.warn(
                f"a batch of {self._too_many} rows needs more memory than {self.device} has: {self.rows} at a time "
                f"were used, with the same results; pass batch_size={self.rows} or 'auto'.",
                MemoryWarning,
                stacklevel=stacklevel + 1,
            )
            self._too_many = None


class BatchTrial:
    """A context in which a batch is computed: it measures what that takes, and catches errors of memory that ran out.

    Afterwards it has not kept anything that the batch has made, and the next batch can have its memory.

    Parameters
    ----------
    size : BatchSize
        Learns from it.
    rows : int
        The number of rows in the batch.
    measured : bool
        Whether to learn.

    Attributes
    ----------
    failed : bool
        Whether memory ran out: call ``size.halve``, and compute the rows again, fewer at a time.
    reason : str
        What the error said.
    """

    def __init__(self, size: BatchSize, rows: int, measured: bool) -> None:
        self.size, self.rows, self.measured = size, rows, measured
        self.failed, self.reason = False, ""
        self._before: MemoryReading | None = None

    def __enter__(self) -> BatchTrial:
        self._before = read_memory(self.size.device) if self.measured else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None:
            if self._before is not None:
                self.size.learn(self._before, self.rows)
            return False
        # An error that is not surely about memory comes again, and is raised, with a single row.
        self.failed = is_out_of_memory(error) or (self.rows > 1 and is_too_large(error))
        self.reason = shorten_reason(error) if self.failed else ""
        return self.failed
