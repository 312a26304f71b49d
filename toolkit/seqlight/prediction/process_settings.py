"""Settings of the whole process that hold for as long as any thread needs them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch


class ProcessSetting:
    """A setting of the whole process: the first thread that needs it makes it, and the last undoes it.

    Parameters
    ----------
    made : callable
        Returns a context in which the setting holds.
    """

    def __init__(self, made: Callable[[], contextlib.AbstractContextManager[Any]]) -> None:
        self._made, self._lock, self._applied = made, threading.Lock(), 0
        self._context = contextlib.ExitStack()

    @contextlib.contextmanager
    def apply(self) -> Iterator[None]:
        """Have it until the end."""
        with self._lock:
            if not self._applied:
                self._context.enter_context(self._made())
            self._applied += 1
        try:
            yield
        finally:
            with self._lock:
                self._applied -= 1
                if not self._applied:
                    self._context.close()


# Compiled models run as they are written. One for all who ask: what two contexts of PyTorch's undo in turn would stay.
EAGER = ProcessSetting(lambda: torch.compiler.set_stance("force_eager"))
