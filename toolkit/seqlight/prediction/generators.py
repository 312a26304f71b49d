"""The global random generators as they were, whichever threads have drawn from them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import threading
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import torch

_lock = threading.Lock()


@dataclasses.dataclass(eq=False)
class _Found:
    """The states that a call found, and the thread that made it."""

    thread: int
    states: dict[Hashable, Any]


# What each call found when it began, the earliest first.
_found: list[_Found] = []


@contextlib.contextmanager
def generators_kept(device: torch.device) -> Iterator[None]:
    """Restore the global generators of Python, NumPy and PyTorch, that of `device` among them, at the end.

    Calls may overlap, in threads or one within the other. Of several threads the last one restores what the first one
    found; within a thread each call restores what it found itself.

    Parameters
    ----------
    device : torch.device
        Where numbers may be drawn, beside the CPU.
    """
    with _lock:
        # Read here, for another call that ends in between would restore what is then older than what was read.
        mine = _Found(threading.get_ident(), _states(device))
        _found.append(mine)
    try:
        yield
    finally:
        with _lock:
            _end(mine)


def positions(device: torch.device) -> tuple[Any, ...]:
    """Return how far the global generators are, that of `device` among them: another value once a number is drawn.

    Examples
    --------
    >>> before = positions(torch.device("cpu"))
    >>> before == positions(torch.device("cpu"))
    True
    >>> number = torch.rand(1)
    >>> before == positions(torch.device("cpu"))
    False
    """
    python, numpy, *others = _states(device).values()
    return (python, numpy[1].tobytes(), *numpy[2:], *(one.numpy().tobytes() for one in others))


def _end(mine: _Found) -> None:
    at = _found.index(mine)
    _found.remove(mine)
    if any(one.thread != mine.thread for one in _found):
        # Others may still draw. The next one restores what was there before it came.
        if at < len(_found):
            _found[at].states |= mine.states
        return
    for place, state in mine.states.items():
        _restore(place, state)


def _states(device: torch.device) -> dict[Hashable, Any]:
    states: dict[Hashable, Any] = {"python": random.getstate(), "numpy": np.random.get_state()}
    states["torch"] = torch.get_rng_state()
    if device.type != "cpu":
        # Of MPS there is one.
        states[device] = torch.mps.get_rng_state() if device.type == "mps" else _of(device).get_rng_state(device)
    return states


def _restore(place: Hashable, state: Any) -> None:
    if place == "python":
        random.setstate(state)
    elif place == "numpy":
        np.random.set_state(state)
    elif place == "torch":
        torch.set_rng_state(state)
    elif _of(place) is torch.mps:
        torch.mps.set_rng_state(state)
    else:
        _of(place).set_rng_state(state, place)


def _of(device: Any) -> Any:
    return getattr(torch, device.type)


def _after_fork() -> None:
    # Other threads, of which one may have held the lock, are not there any more.
    global _lock
    _lock = threading.Lock()
    _found[:] = [one for one in _found if one.thread == threading.get_ident()]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
