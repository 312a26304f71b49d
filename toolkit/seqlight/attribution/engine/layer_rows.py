"""Rows of a ledger: what a module returns, a branch of a residual sum, or a head of attention; and their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

# Sums of the same two branches in one call of a module, more than which are those of a loop.
MOST_SUMS = 16

_PART = re.compile(r": ((?:(?:sum|attention) \d+, )?(?:branch [01](?: \([^()]*\))?|head \d+))$")


class Row(NamedTuple):
    """One row.

    Attributes
    ----------
    layer : str
        The module by its name; for a part, the one in whose forward it was made, "" for the model itself.
    call : int
        The number of its call.
    path : str
        The place in what it returns, for several tensors.
    place : int
        Which of the tensors that are read.
    column : int
        Which of its totals: 0 for that of the whole.
    part : str
        What of it: ``"branch 1 (2.conv)"``, ``"head 3"``, or "" for the whole.
    source : tuple of str and int
        For a part, the kind of operation and which one of those of its kind in this call.
    """

    layer: str
    call: int
    path: str
    place: int
    column: int = 0
    part: str = ""
    source: tuple[str, int] = ("", 0)


def row_names(rows: Sequence[Row], calls: Mapping[str, int]) -> tuple[str, ...]:
    """Return the names of rows, given how often each module was called.

    Examples
    --------
    >>> row_names([Row("conv", 0, "", 0), Row("", 0, "", 1, 1, "branch 0 (conv)", ("sum", 0))], {"conv": 1})
    ('conv', ': branch 0 (conv)')
    """
    sources = {(row.layer, row.call, *row.source) for row in rows if row.part}
    numbers = Counter((layer, call, kind) for layer, call, kind, _ in sources)
    names = []
    for row in rows:
        name = f"{row.layer}{f'#{row.call}' if calls.get(row.layer, 0) > 1 else ''}{row.path}"
        kind, number = row.source
        several = f"{kind} {number}, " if numbers[row.layer, row.call, kind] > 1 else ""
        names.append(f"{name}: {several}{row.part}" if row.part else name)
    return tuple(names)


def split_row_name(name: str) -> tuple[str, str]:
    """Return the layer and the part that a name is of; "" if it is of the whole.

    Examples
    --------
    >>> split_row_name("tower.3: branch 1 (tower.3.conv)"), split_row_name("lstm[0]"), split_row_name(": head 2")
    (('tower.3', 'branch 1 (tower.3.conv)'), ('lstm[0]', ''), ('', 'head 2'))
    """
    found = _PART.search(name)
    return (name, "") if found is None else (name[: found.start()], found[1])


class PassRows:
    """The rows that were met so far in one pass of a model.

    Parameters
    ----------
    copy : bool
        Whether copies are kept of what is read.
    """

    def __init__(self, copy: bool = False) -> None:
        self.copy, self.rows = copy, list[Row]()
        self.places = 0  # tensors that are read
        self.calls: Counter[str] = Counter()
        self.running: list[int] = []  # the modules whose forward runs, the innermost last
        self.sources: Any = WeakIdKeyDictionary()  # from tensors to the modules that returned them
        self._last: tuple[Tensor, int] | None = None
        self._made: Counter[tuple[str, int, str]] = Counter()  # operations with parts, by kind
        self._sums: Counter[tuple[str, int, tuple[str, ...]]] = Counter()  # by the names of their branches

    def leave(self, module: int) -> None:
        """Take a module off those that run, and with it all that an error ended."""
        if module in self.running:
            while self.running.pop() != module:
                pass

    def layer(self, names: Mapping[int, str]) -> str:
        """Return the name of the innermost module that runs, "" for the model."""
        return next((names[one] for one in reversed(self.running) if one in names), "")

    def is_last(self, y: Tensor) -> bool:
        """Return whether a tensor is the last one that was read, and as it was."""
        return self._last is not None and self._last[0] is y and self._last[1] == y._version

    def add_place(self, y: Tensor) -> None:
        """Add a tensor that was read."""
        self._last, self.places = (y, y._version), self.places + 1

    def is_of_loop(self, layer: str, parts: tuple[str, ...]) -> bool:
        """Count a sum, and return whether there were so many of the same branches that it is of a loop."""
        key = layer, self.calls[layer], parts
        self._sums[key] += 1
        return self._sums[key] > MOST_SUMS

    def kept_rows(self) -> list[Row]:
        """Return the rows, without sums of loops; those that are left are numbered anew."""
        parts = dict[tuple[str, int, str, int], tuple[str, ...]]()
        for row in self.rows:
            key = row.layer, row.call, *row.source
            parts[key] = *parts.get(key, ()), row.part
        loops = {key for key, some in parts.items() if self._sums[*key[:2], some] > MOST_SUMS}
        if not loops:
            return self.rows
        numbers = dict[tuple[str, int, str, int], int]()
        left: Counter[tuple[str, int, str]] = Counter()
        for layer, call, kind, number in sorted(parts.keys() - loops):
            numbers[layer, call, kind, number] = left[layer, call, kind]
            left[layer, call, kind] += 1
        return [
            row._replace(source=(row.source[0], numbers[row.layer, row.call, *row.source]))
            for row in self.rows
            if (row.layer, row.call, *row.source) not in loops
        ]

    def add_parts(self, layer: str, kind: str, parts: Sequence[str]) -> None:
        """Add rows for parts of the last tensor that was read."""
        call = self.calls[layer]
        source = kind, self._made[layer, call, kind]
        self._made[layer, call, kind] += 1
        self.rows += [Row(layer, call, "", self.places - 1, 1 + k, part, source) for k, part in enumerate(parts)]
