"""Run a loop over blocks of rows on the threads that PyTorch computes with."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from seqlight.native.library import library, loop

Work: TypeAlias = Callable[[int, int], Any]
Blocks: TypeAlias = list[tuple[int, int]]

# Below this many entries one thread is done before another has begun: with Python between, and without.
WORTH_THREADS = 2**18
WORTH_A_TEAM = 2**15


def over_rows(work: Work, n_rows: int, entries: int | None = None) -> None:
    """Call ``work(first, last)`` on blocks of rows, one block a thread.

    Parameters
    ----------
    work : callable
        Handles the rows ``first <= row < last``. Blocks must not depend on each other. What it raises is raised.
    n_rows : int
        How many rows there are. As many threads are used as PyTorch uses.
    entries : int, optional
        How many numbers are written in all, so that little work is left to one thread.
    """
    threads = 1 if entries is not None and entries < WORTH_THREADS else _threads(n_rows)
    if threads <= 1:
        work(0, n_rows)
        return
    blocks = [(n_rows * at // threads, n_rows * (at + 1) // threads) for at in range(threads)]
    start = None if _forked else _openmp()
    if start is None:
        _on_a_pool(work, blocks)
    else:
        _on_a_team(start, work, blocks)


def run(name: str, tensors: Iterable[Tensor | None], numbers: Iterable[float], n_rows: int, entries: int) -> None:
    """Run a compiled loop over blocks of rows, with no Python between: that takes longer than a short loop.

    Parameters
    ----------
    name : str
        Of the loop.
    tensors, numbers : iterable
        Its arguments, as its C file declares them; None for a null pointer.
    n_rows, entries : int
        As in :func:`over_rows`.

    Raises
    ------
    MemoryError
        If the loop finds no memory.
    """
    function, address, layout = loop(name)
    of = layout.pack(*[0 if one is None else one.data_ptr() for one in tensors], *numbers)
    threads = 1 if entries < WORTH_A_TEAM else _threads(n_rows)
    if threads <= 1:
        failed = function(of, 0, n_rows)
    elif (start := None if _forked else _openmp()) is None:
        each = list[int]()
        over_rows(lambda first, last: each.append(function(of, first, last)), n_rows)
        failed = any(each)
    else:
        failed = _team_of_c()(start, address, of, n_rows, threads)
    if failed:
        raise MemoryError(f"there was no memory for a row of {name}")


@cache
def _team_of_c() -> Any:
    native = library()
    assert native is not None
    return native.run_on_team


def _threads(n_rows: int) -> int:
    return min(torch.get_num_threads(), n_rows)


# PyTorch's threads -------------------------------------------------------------------------------------------------
#
# Those of OpenMP stay awake for milliseconds when their work is done, in case there is more. Other threads would have
# to share the processors with them, and loops of a millisecond take twice their time. So ours are the same threads.

_STEP = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def _openmp() -> Any:
    """Return how the OpenMP that PyTorch is linked to starts a team, or None where it is another."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        # Looked up from PyTorch's library, for other packages may have brought an OpenMP of their own.
        start = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).GOMP_parallel
    except (OSError, AttributeError):
        return None
    start.restype, start.argtypes = None, (_STEP, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    return start


def _on_a_team(start: Any, work: Work, blocks: Blocks) -> None:
    # All threads take from one iterator, for a team may be smaller than asked for.
    waiting, raised = iter(blocks), list[BaseException]()

    def step(_: Any) -> None:
        try:
            for block in waiting:
                work(*block)
        except BaseException as error:  # which has no way through a thread that is not Python's
            raised.append(error)

    start(_STEP(step), None, len(blocks), 0)
    if raised:
        raise raised[0]
    for block in waiting:  # none, unless a signal kept a thread from beginning
        work(*block)


# Threads of our own ------------------------------------------------------------------------------------------------


def _on_a_pool(work: Work, blocks: Blocks) -> None:
    elsewhere = [_pool(len(blocks) - 1).submit(work, *block) for block in blocks[1:]]
    try:
        work(*blocks[0])
    finally:
        wait(elsewhere)  # what they write to may be gone once an error has left here
    for done in elsewhere:
        done.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # Kept, for starting threads takes longer than many a loop.
    return ThreadPoolExecutor(threads, thread_name_prefix="seqlight")


# A forked process has no threads but the one that forked, and OpenMP does not know.
_forked = multiprocessing.parent_process() is not None and (
    multiprocessing.get_start_method(allow_none=True) in (None, "fork")
)


def _after_fork() -> None:
    global _forked
    _forked = True
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
