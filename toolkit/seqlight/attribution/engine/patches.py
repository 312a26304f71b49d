"""Replace attributes of PyTorch for as long as any thread needs it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

_ABSENT = object()


class Patch:
    """Replaces attributes of a module or class, until the last thread that applied it is done.

    All threads see a replacement, so in those that did not ask for it, it has to do what the original does.

    Parameters
    ----------
    owner : module or type
        Has the attributes.
    replacements : mapping
        From the names of attributes to their replacements.
    """

    def __init__(self, owner: Any, replacements: Mapping[str, Any]) -> None:
        self.owner, self.replacements = owner, replacements
        self._lock, self._applied = threading.Lock(), 0
        self._originals: dict[str, Any] = {}

    def original(self, name: str) -> Any:
        """Return the original of a replaced attribute, while the patch is applied."""
        return self._originals[name]

    @contextlib.contextmanager
    def apply(self) -> Iterator[None]:
        """Replace the attributes inside."""
        with self._lock:
            if not self._applied:
                self._originals = {name: vars(self.owner).get(name, _ABSENT) for name in self.replacements}
                for name, replacement in self.replacements.items():
                    setattr(self.owner, name, replacement)
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
