"""Share work among the processes of a Trainer, such that either all of them go on or all stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import lightning.pytorch as L
import torch.distributed as dist

from seqlight.errors import SeqlightError
from seqlight.lit.pinned_memory import bring_to_cpu

T = TypeVar("T")


def split_among_ranks(trainer: L.Trainer, n: int, work: Callable[[Sequence[int]], T]) -> list[tuple[Sequence[int], T]]:
    """Do `work` on the rows ``rank, rank + world_size, ...`` in each process, and return all results in all of them.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer
        Each of its processes must call this function.
    n : int
        The total number of rows.
    work : callable
        Takes a list of rows; its result is pickled. Not called for an empty list.

    Returns
    -------
    list of (rows, result)
        The same in every process.

    Raises
    ------
    SeqlightError
        In every process, if `work` failed in one: none is left waiting for the others.
    """
    rows = list(range(trainer.global_rank, n, trainer.world_size))
    parts = run_on_all_ranks(trainer, lambda: (rows, work(rows)) if rows else None)
    return [part for part in parts if part is not None]


def run_on_first_rank(trainer: L.Trainer, work: Callable[[], T]) -> T:
    """Do `work` in process 0, and return its result, or raise its error, in all processes."""
    first, *_ = run_on_all_ranks(trainer, lambda: work() if trainer.is_global_zero else None)
    return cast(T, first)


def run_on_all_ranks(trainer: L.Trainer, work: Callable[[], T]) -> list[T]:
    """Do `work` in each process, and return the results of all, in the order of the processes, in each.

    In a single process, an error of `work` is raised unchanged; with several, each of them raises SeqlightError with
    the message of the first that failed. Tensors of several processes are on the CPU.
    """
    if trainer.world_size == 1:
        return [work()]
    cause: Exception | None = None
    part: tuple[T | None, str | None]
    try:
        # A tensor is sent as what it is: those of this device would be made on it again, by each of the others.
        part = bring_to_cpu(work()), None
    except Exception as error:
        cause, part = error, (None, f"{type(error).__name__}: {error}")
    parts: list[tuple[T, str | None]] = [None] * trainer.world_size  # type: ignore[list-item]
    dist.all_gather_object(parts, part)
    for rank, (_, failure) in enumerate(parts):
        if failure is not None:
            raise SeqlightError(f"process {rank} of {trainer.world_size} failed, so all stop: {failure}") from cause
    return [result for result, _ in parts]
