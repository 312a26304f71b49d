"""Share work among the processes of a Trainer, so that either all go on or all stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import lightning.pytorch as L
import torch.distributed as dist

from seqlight.errors import SeqlightError

T = TypeVar("T")


def split_among_ranks(trainer: L.Trainer, n: int, work: Callable[[Sequence[int]], T]) -> list[tuple[Sequence[int], T]]:
    """Do `work` on the rows ``rank, rank + world size, ...`` of each process, and give all results to all.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer
        Whose processes take part; each must call this.
    n : int
        Rows in all.
    work : callable
        Takes a list of rows; what it returns is pickled. It is not called for an empty list.

    Returns
    -------
    list of (rows, result)
        The same on every process.

    Raises
    ------
    SeqlightError
        On every process, if `work` failed on one: none is left waiting for the others.
    """
    rows = list(range(trainer.global_rank, n, trainer.world_size))
    return [
        part for part in run_on_all_ranks(trainer, lambda: (rows, work(rows)) if rows else None) if part is not None
    ]


def run_on_first_rank(trainer: L.Trainer, work: Callable[[], T]) -> T:
    """Do `work` on the first process, and give its result, or its error, to all."""
    first, *_ = run_on_all_ranks(trainer, lambda: work() if trainer.is_global_zero else None)
    return cast(T, first)


def run_on_all_ranks(trainer: L.Trainer, work: Callable[[], T]) -> list[T]:
    """Do `work` on each process, and give the results, in the order of the processes, to all.

    One process alone lets an error of `work` through as it is; of several, each raises SeqlightError
    with the message of the first that failed.
    """
    if trainer.world_size == 1:
        return [work()]
    cause: Exception | None = None
    part: tuple[T | None, str | None]
    try:
        part = work(), None
    except Exception as error:
        cause, part = error, (None, f"{type(error).__name__}: {error}")
    parts: list[tuple[T, str | None]] = [None] * trainer.world_size  # type: ignore[list-item]
    dist.all_gather_object(parts, part)
    for rank, (_, failure) in enumerate(parts):
        if failure is not None:
            raise SeqlightError(f"process {rank} of {trainer.world_size} failed, so all stop: {failure}") from cause
    return [result for result, _ in parts]
