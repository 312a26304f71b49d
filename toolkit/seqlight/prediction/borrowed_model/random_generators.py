"""The global random generators as they were, whichever threads have drawn from them."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import random
import struct
import threading
from collections.abc import Hashable, Iterator, Mapping
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
def preserve_generators(device: torch.device) -> Iterator[None]:
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


class DrawDetector:
    """Whether any number is drawn from the global generators from here on.

    Parameters
    ----------
    device : torch.device
        Where numbers may be drawn, beside the CPU.

    Examples
    --------
    >>> draws = DrawDetector(torch.device("cpu"))
    >>> draws.has_drawn()
    False
    >>> number = torch.rand(1)
    >>> draws.has_drawn()
    True
    """

    def __init__(self, device: torch.device) -> None:
        me = threading.get_ident()
        with _lock:
            # A copy, for a call that ends adds to them.
            found = next((dict(one.states) for one in reversed(_found) if one.thread == me), None)
        if found is None or (device.type != "cpu" and device not in found):
            self._states = _states(device)
            return
        # Mostly no number was drawn since the call began, and to see that is quicker than to read all states.
        self._states = found
        for place, state in found.items():
            if _moved(place, state):
                found[place] = _state(place)

    def has_drawn(self) -> bool:
        """Return whether a number was drawn."""
        return any(_moved(place, state) for place, state in self._states.items())


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
    places: list[Hashable] = ["python", "numpy", "torch"]
    return {place: _state(place) for place in (places if device.type == "cpu" else [*places, device])}


def _state(place: Any) -> Any:
    if place == "python":
        return random.getstate()
    if place == "numpy":
        return np.random.get_state(legacy=False)
    if place == "torch":
        return torch.get_rng_state()
    # Of MPS there is one.
    return torch.mps.get_rng_state() if place.type == "mps" else _of(place).get_rng_state(place)


def _restore(place: Any, state: Any) -> None:
    if place == "python":
        random.setstate(state)
    elif place == "numpy":
        # Which takes longer than all others.
        if _numpy_moved(state):
            np.random.set_state(state)
    elif place == "torch":
        torch.set_rng_state(state)
    elif place.type == "mps":
        torch.mps.set_rng_state(state)
    else:
        _of(place).set_rng_state(state, place)


def _moved(place: Hashable, state: Any) -> bool:
    """Return whether a generator is elsewhere than it was."""
    if place == "python":
        _, words, stored = random.getstate()
        # All words change at once, when the last of them, which counts how many are used, is at the end.
        return (words[0], words[-1], stored) != (state[1][0], state[1][-1], state[2])
    if place == "numpy":
        return _numpy_moved(state)
    return bool(_state(place).numpy().tobytes() != state.numpy().tobytes())


def _numpy_moved(state: Mapping[str, Any]) -> bool:
    """Return whether NumPy's generator is elsewhere than it was.

    It takes long to hand out its state, so its memory is read as it is, unless it keeps a number that is drawn next.
    """
    generator = np.random.get_bit_generator()  # type: ignore[attr-defined]
    if type(generator) is not np.random.MT19937 or state["bit_generator"] != "MT19937" or state["has_gauss"]:
        return not all(map(np.array_equal, _parts(state), _parts(np.random.get_state(legacy=False))))
    before = state["state"]["key"].tobytes() + struct.pack("=i", state["state"]["pos"])
    return bool(ctypes.string_at(generator.ctypes.state_address, len(before)) != before)


def _parts(state: Mapping[str, Any]) -> list[Any]:
    return [one for one in (*state.values(), *state["state"].values()) if not isinstance(one, dict)]


def _of(device: Any) -> Any:
    return getattr(torch, device.type)


def _after_fork() -> None:
    # Other threads, of which one may have held the lock, are not there any more.
    global _lock
    _lock = threading.Lock()
    _found[:] = [one for one in _found if one.thread == threading.get_ident()]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
