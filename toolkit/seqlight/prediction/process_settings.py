"""Settings of the whole process that hold for as long as any thread needs them."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")


class ProcessSetting:
    """A setting of the whole process: the first thread that applies it makes it, and the last one undoes it.

    Parameters
    ----------
    make_context : callable
        Returns a context manager inside which the setting holds.
    """

    def __init__(self, make_context: Callable[[], contextlib.AbstractContextManager[Any]]) -> None:
        self._make_context, self._lock, self._users = make_context, threading.Lock(), 0
        self._context = contextlib.ExitStack()

    @contextlib.contextmanager
    def apply(self) -> Iterator[None]:
        """Have the setting hold until the end of the context."""
        with self._lock:
            if not self._users:
                self._context.enter_context(self._make_context())
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._context.close()


class SharedChoice(Generic[T]):
    """A setting of the whole process that threads may want differently: those that agree share it, and the others wait.

    Parameters
    ----------
    make_context : callable
        Returns for a choice a context manager inside which it holds.

    Examples
    --------
    >>> limit = SharedChoice(lambda found: contextlib.nullcontext(print("as", found)))
    >>> with limit.apply("small"), limit.apply("large"):  # within a thread the first choice holds
    ...     pass
    as small
    """

    def __init__(self, make_context: Callable[[T], contextlib.AbstractContextManager[Any]]) -> None:
        self._make_context, self._changed = make_context, threading.Condition()
        self._depths: dict[int, int] = {}  # of each thread that holds the choice
        self._choice: T | None = None
        self._context = contextlib.ExitStack()

    @contextlib.contextmanager
    def apply(self, choice: T) -> Iterator[None]:
        """Have a choice hold until the end of the context; a thread that holds one already keeps it."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: not self._depths or me in self._depths or self._choice == choice)
            if not self._depths:
                self._context.enter_context(self._make_context(choice))
                self._choice = choice
            self._depths[me] = self._depths.get(me, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._depths[me] -= 1
                if not self._depths[me]:
                    del self._depths[me]
                if not self._depths:
                    self._context.close()
                    self._changed.notify_all()


@contextlib.contextmanager
def _with_one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# Compiled models run eagerly. Shared by all users: two overlapping contexts of PyTorch would leave the stance set.
EAGER = ProcessSetting(lambda: torch.compiler.set_stance("force_eager"))
# For many operations on small tensors, at which several threads mostly wait for each other.
ONE_THREAD = ProcessSetting(_with_one_thread)


def run_eagerly() -> contextlib.AbstractContextManager[None]:
    """Return a context in which compiled models run eagerly, since they would be compiled again for other batches."""
    return EAGER.apply() if "torch._dynamo" in sys.modules else contextlib.nullcontext()
