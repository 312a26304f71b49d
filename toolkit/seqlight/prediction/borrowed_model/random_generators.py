"""Restore the global random generators of Python, NumPy and PyTorch after a call, whichever threads drew from them."""

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
class _Snapshot:
    """The states that a call found when it began, and the thread that made the call."""

    thread: int
    states: dict[Hashable, Any]


# Those of the calls that are running, the earliest first.
_snapshots: list[_Snapshot] = []


@contextlib.contextmanager
def preserve_generators(device: torch.device) -> Iterator[None]:
    """Restore the global generators of Python, NumPy and PyTorch, that of `device` included, at the end.

    Calls may overlap, in threads or one within the other. Among threads, the last call to end restores what the first
    one found; within a thread, each call restores what it found itself.

    Parameters
    ----------
    device : torch.device
        Where numbers may be drawn, besides the CPU.
    """
    with _lock:
        # Read under the lock: a call that ended in between would restore states older than those read here.
        mine = _Snapshot(threading.get_ident(), _read_states(device))
        _snapshots.append(mine)
    try:
        yield
    finally:
        with _lock:
            _end(mine)


class DrawDetector:
    """Detects whether any number is drawn from the global generators from here on.

    Parameters
    ----------
    device : torch.device
        Where numbers may be drawn, besides the CPU.

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
            # A copy, since a call that ends adds to the states of another.
            states = next((dict(one.states) for one in reversed(_snapshots) if one.thread == me), None)
        if states is None or (device.type != "cpu" and device not in states):
            self._states = _read_states(device)
            return
        # Usually nothing was drawn since the call began, and checking that is quicker than reading all states.
        self._states = states
        for generator, state in states.items():
            if _has_advanced(generator, state):
                states[generator] = _read_state(generator)

    def has_drawn(self) -> bool:
        """Return whether a number was drawn."""
        return any(_has_advanced(generator, state) for generator, state in self._states.items())


def _end(mine: _Snapshot) -> None:
    position = _snapshots.index(mine)
    _snapshots.remove(mine)
    if any(one.thread != mine.thread for one in _snapshots):
        # Other threads may still draw. The next call in line restores what this one found.
        if position < len(_snapshots):
            _snapshots[position].states |= mine.states
        return
    for generator, state in mine.states.items():
        _restore(generator, state)


# A generator is "python", "numpy", "torch" (that of the CPU), or a device.


def _read_states(device: torch.device) -> dict[Hashable, Any]:
    generators: list[Hashable] = ["python", "numpy", "torch"]
    return {one: _read_state(one) for one in (generators if device.type == "cpu" else [*generators, device])}


def _read_state(generator: Any) -> Any:
    if generator == "python":
        return random.getstate()
    if generator == "numpy":
        return np.random.get_state(legacy=False)
    if generator == "torch":
        return torch.get_rng_state()
    # There is only one MPS device, so its functions take none.
    if generator.type == "mps":
        return torch.mps.get_rng_state()
    return _device_module(generator).get_rng_state(generator)


def _restore(generator: Any, state: Any) -> None:
    if generator == "python":
        random.setstate(state)
    elif generator == "numpy":
        # Setting it takes longer than setting all others, so only if needed.
        if _numpy_has_advanced(state):
            np.random.set_state(state)
    elif generator == "torch":
        torch.set_rng_state(state)
    elif generator.type == "mps":
        torch.mps.set_rng_state(state)
    else:
        _device_module(generator).set_rng_state(state, generator)


def _has_advanced(generator: Hashable, state: Any) -> bool:
    """Return whether the state of a generator differs from an earlier one."""
    if generator == "python":
        _, words, stored = random.getstate()
        # All words change together, when the last of them, the number of words used, reaches the end.
        return (words[0], words[-1], stored) != (state[1][0], state[1][-1], state[2])
    if generator == "numpy":
        return _numpy_has_advanced(state)
    return bool(_read_state(generator).numpy().tobytes() != state.numpy().tobytes())


def _numpy_has_advanced(state: Mapping[str, Any]) -> bool:
    """Return whether the state of NumPy's generator differs from an earlier one.

    NumPy is slow to return its state, so the memory of the generator is compared, unless a normal number is in store.
    """
    generator = np.random.get_bit_generator()  # type: ignore[attr-defined]
    if type(generator) is not np.random.MT19937 or state["bit_generator"] != "MT19937" or state["has_gauss"]:
        return not all(map(np.array_equal, _flat_values(state), _flat_values(np.random.get_state(legacy=False))))
    before = state["state"]["key"].tobytes() + struct.pack("=i", state["state"]["pos"])
    return bool(ctypes.string_at(generator.ctypes.state_address, len(before)) != before)


def _flat_values(state: Mapping[str, Any]) -> list[Any]:
    return [value for value in (*state.values(), *state["state"].values()) if not isinstance(value, dict)]


def _device_module(device: Any) -> Any:
    return getattr(torch, device.type)


def _after_fork() -> None:
    # Other threads, one of which may have held the lock, do not exist in the forked process.
    global _lock
    _lock = threading.Lock()
    _snapshots[:] = [one for one in _snapshots if one.thread == threading.get_ident()]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
