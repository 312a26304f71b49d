"""Replace what PyTorch looks up, for as long as any thread needs it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

_ABSENT = object()


class Patch:
    """Attributes of a module or class that others stand in for, until the last who applied it is done.

    All threads meet a stand-in, so it has to do what the original does in those that did not ask for it.

    Parameters
    ----------
    owner : module or type
        Whose attributes.
    stand_ins : mapping
        What to find instead, by name.
    """

    def __init__(self, owner: Any, stand_ins: Mapping[str, Any]) -> None:
        self.owner, self.stand_ins = owner, stand_ins
        self._lock, self._applied = threading.Lock(), 0
        self._originals: dict[str, Any] = {}

    def original(self, name: str) -> Any:
        """Return what a stand-in stands in for, while it does."""
        return self._originals[name]

    @contextlib.contextmanager
    def apply(self) -> Iterator[None]:
        """Apply it until the end."""
        with self._lock:
            if not self._applied:
                self._originals = {name: vars(self.owner).get(name, _ABSENT) for name in self.stand_ins}
                for name, stand_in in self.stand_ins.items():
                    setattr(self.owner, name, stand_in)
            self._applied += 1
        try:
            yield
        finally:
            with self._lock:
                self._applied -= 1
                if not self._applied:
                    self._restore()

    def _restore(self) -> None:
        for name, original in self._originals.items():
            if original is _ABSENT:
                delattr(self.owner, name)
            else:
                setattr(self.owner, name, original)
