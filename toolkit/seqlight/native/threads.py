"""Run loops over blocks of rows, on the threads that PyTorch computes with."""

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

# With fewer entries, one thread is done before another has started: for Python functions, and for compiled loops.
WORTH_THREADS = 2**18
WORTH_A_TEAM = 2**15


def over_rows(work: Work, n_rows: int, entries: int | None = None) -> None:
    """Call ``work(first, last)`` on blocks of rows, one block a thread.

    Parameters
    ----------
    work : callable
        Handles the rows ``first <= row < last``. Blocks must not depend on each other. Its exceptions are passed on.
    n_rows : int
        The number of rows. As many threads are used as PyTorch uses.
    entries : int, optional
        How many numbers are written in all; little work is left to one thread.
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
    """Run a compiled loop over blocks of rows, without Python between the blocks.

    Parameters
    ----------
    name : str
        The name of the loop.
    tensors, numbers : iterable
        Its arguments, in the order of its C file; None is a null pointer.
    n_rows, entries : int
        As in :func:`over_rows`.

    Raises
    ------
    MemoryError
        If the loop cannot allocate memory.
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
# OpenMP's threads stay awake for some milliseconds after their work, in case there is more. Threads of our own would
# have to share the processors with them, and loops of a millisecond would take twice their time. So we use the same
# threads.

_STEP = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def _openmp() -> Any:
    """Return the function by which PyTorch's OpenMP starts a team of threads, or None if it is not GCC's OpenMP."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        # Looked up in PyTorch's library, because other packages may have loaded an OpenMP of their own.
        start = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).GOMP_parallel
    except (OSError, AttributeError):
        return None
    start.restype, start.argtypes = None, (_STEP, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    return start


def _on_a_team(start: Any, work: Work, blocks: Blocks) -> None:
    # All threads take blocks from one iterator, because a team may be smaller than requested.
    waiting, raised = iter(blocks), list[BaseException]()

    def step(_: Any) -> None:
        try:
            for block in waiting:
                work(*block)
        except BaseException as error:  # cannot pass through a thread that is not Python's
            raised.append(error)

    start(_STEP(step), None, len(blocks), 0)
    if raised:
        raise raised[0]
    for block in waiting:  # empty, unless a signal kept a thread from starting
        work(*block)


# Threads of our own ------------------------------------------------------------------------------------------------


def _on_a_pool(work: Work, blocks: Blocks) -> None:
    elsewhere = [_pool(len(blocks) - 1).submit(work, *block) for block in blocks[1:]]
    try:
        work(*blocks[0])
    finally:
        wait(elsewhere)  # after an error, the memory that they write to may be freed
    for done in elsewhere:
        done.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # Cached, because starting threads takes longer than many a loop.
    return ThreadPoolExecutor(threads, thread_name_prefix="seqlight")


# A forked process has only the thread that forked, and OpenMP does not know that.
_forked = multiprocessing.parent_process() is not None and (
    multiprocessing.get_start_method(allow_none=True) in (None, "fork")
)


def _after_fork() -> None:
    global _forked
    _forked = True
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
