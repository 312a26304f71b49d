"""Share work among the processes of a Trainer, so that either all go on or all stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import lightning.pytorch as L
import torch.distributed as dist

from seqlight.errors import SeqlightError

T = TypeVar("T")


def shared(trainer: L.Trainer, n: int, work: Callable[[Sequence[int]], T]) -> list[tuple[Sequence[int], T]]:
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
    if trainer.world_size == 1:
        return [(rows, work(rows))] if rows else []
    part: tuple[Sequence[int], T | None, str | None] = (rows, None, None)
    cause: Exception | None = None
    try:
        part = (rows, work(rows) if rows else None, None)
    except Exception as error:
        cause, part = error, (rows, None, f"{type(error).__name__}: {error}")
    parts: list[tuple[Sequence[int], T, str | None]] = [None] * trainer.world_size  # type: ignore[list-item]
    dist.all_gather_object(parts, part)
    failed = {rank: error for rank, (_, _, error) in enumerate(parts) if error is not None}
    if failed:
        rank, error = next(iter(failed.items()))
        raise SeqlightError(f"process {rank} of {trainer.world_size} failed, so all stop: {error}") from cause
    return [(rows, result) for rows, result, _ in parts if rows]
