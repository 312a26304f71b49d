"""Sequences go through the model a few blocks ahead of where they are explained: one takes nearly as long as a few.

A tensor that was recorded of several blocks is longer, in one dimension, than that of one block, and the rows lie there
one behind the other. So its record is cut into those of single blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.record import Record, Snapshot
from seqlight.attribution.engine.policy import CallPolicy

# How much smaller than a batch what is recorded at once must be: a sequence leaves more than each of its references.
SHARE_OF_BATCH = 6
# Bytes of a line of the cache.
LINE = 64
# In which dimension a tensor is longer, and how long it is for each row; None where it is not.
_Place = tuple[int, int] | None


class Lookahead:
    """Records of blocks of sequences that have not been explained yet.

    Parameters
    ----------
    policy : CallPolicy
        How calls are handled; records that were made under another state of it are dropped.
    sequences, batch_size : int
        How many there are, and how many rows the model takes at a time.

    Attributes
    ----------
    used : bool
        Whether anything was recorded ahead.
    """

    def __init__(self, policy: CallPolicy, sequences: int, batch_size: int) -> None:
        self._policy, self._state = policy, policy.state
        self._sequences, self._room = sequences, batch_size // SHARE_OF_BATCH
        self._alone: Shapes | None = None
        self._records: dict[int, Record] = {}
        self.used = False

    def pop(self, first: int, last: int) -> Record | None:
        """Return the record of the sequences ``first <= i < last``, if there is one."""
        self._drop_outdated()
        found = self._records.pop(first, None)
        return found if found is not None and len(found.output) == last - first else None

    def end(self, first: int, last: int) -> int:
        """Return up to which sequence to record now, if the block ``first <= i < last`` is needed."""
        self._drop_outdated()
        size = last - first
        if self._alone is None or self._alone.rows != size or first in self._records or last in self._records:
            return last
        blocks = min(self._room, self._sequences - first) // size
        return first + blocks * size if blocks > 1 else last

    def add(self, first: int, record: Record, rows: int) -> None:
        """Take the record of the sequences from `first` on, of which `rows` make a block."""
        if len(record.output) == rows:
            self._alone = self._alone or Shapes.of(record)
            self._records[first] = record
            return
        assert self._alone is not None
        try:
            blocks = cut(record, self._alone, len(record.output) // rows)
        except Exception:  # overwritten since, say: what is wrong with a block is found when it comes on its own
            blocks = None
        if blocks is None:
            self.stop()
            return
        self.used = True
        self._records.update({first + k * rows: one for k, one in enumerate(blocks)})

    def stop(self) -> bool:
        """Record nothing ahead from here on; return whether anything was before."""
        was, self.used, self._room = self.used, False, 0
        self._records.clear()
        return was

    def _drop_outdated(self) -> None:
        if self._state != self._policy.state:
            self._state, self._alone = self._policy.state, None
            self._records.clear()


@dataclass(frozen=True)
class Shapes:
    """Which calls a block of `rows` sequences made, and the shapes of what was recorded of each."""

    rows: int
    calls: list[tuple[str, list[torch.Size]]]

    @classmethod
    def of(cls, record: Record) -> Shapes:
        """Return those of one block's record."""
        calls = [(name, [one.tensor.shape for one in _recorded_in(kept)]) for name, kept in record.calls]
        return cls(len(record.output), calls)


def cut(record: Record, like: Shapes, blocks: int) -> list[Record] | None:
    """Return the records of single blocks, or None if they are not like those of a block on its own.

    Parameters
    ----------
    record : Record
        Of several blocks.
    like : Shapes
        Of one block.
    blocks : int
        How many there are.

    Raises
    ------
    Overwritten
        If something was changed in place since.
    """
    total, shapes = len(record.output), [shape for _, kept in like.calls for shape in kept]
    recorded = [one for _, kept in record.calls for one in _recorded_in(kept)]
    if [name for name, _ in record.calls] != [name for name, _ in like.calls] or len(recorded) != len(shapes):
        return None
    places = [_place(one.tensor.shape, shape, like.rows, total) for one, shape in zip(recorded, shapes, strict=True)]
    if any(place is False for place in places):
        return None
    return [_piece(record, places, k * like.rows, like.rows) for k in range(blocks)]


def _place(many: torch.Size, one: torch.Size, rows: int, total: int) -> Any:
    """Return where a tensor of `total` rows has them, for its shape with `rows`; False where that cannot be told."""
    if many == one:
        return None
    longer = [d for d in range(len(one)) if many[d] != one[d]] if len(many) == len(one) else []
    if len(longer) != 1 or one[longer[0]] % rows or many[longer[0]] != one[longer[0]] // rows * total:
        return False
    return longer[0], one[longer[0]] // rows


def _piece(record: Record, places: list[_Place], first: int, rows: int) -> Record:
    remaining = iter(places)

    def narrowed(recorded: Snapshot) -> Tensor:
        place, tensor = next(remaining), recorded.get()
        return tensor if place is None else tensor.narrow(place[0], first * place[1], rows * place[1])

    tensors = iter(_contiguous([narrowed(one) for _, kept in record.calls for one in _recorded_in(kept)]))

    def replaced(_: Snapshot) -> Snapshot:
        tensor = next(tensors)
        return Snapshot(tensor, tensor._version)

    calls = [(name, _with_each(kept, replaced)) for name, kept in record.calls]
    return Record(record.output[first : first + rows], calls)


def _contiguous(pieces: list[Tensor]) -> list[Tensor]:
    """Return each contiguous: most are, as the rows of a batch lie one behind the other."""
    copies = iter(_copied_together([one for one in pieces if not one.is_contiguous()]))
    return [one if one.is_contiguous() else next(copies) for one in pieces]


def _copied_together(pieces: list[Tensor]) -> list[Tensor]:
    """Return copies that lie in one piece of memory: each on its own would take the place of a larger tensor."""
    if not pieces or not all(one.is_cpu for one in pieces):
        return [one.contiguous() for one in pieces]
    ends = list(itertools.accumulate((-(-one.nbytes // LINE) * LINE for one in pieces), initial=0))
    room = torch.empty(ends[-1], dtype=torch.uint8, device="cpu")
    copies = [
        room[start : start + one.nbytes].view(one.dtype).view(one.shape)
        for one, start in zip(pieces, ends, strict=False)
    ]
    torch._foreach_copy_(copies, pieces)
    return copies


def _recorded_in(kept: Any) -> Iterator[Snapshot]:
    if isinstance(kept, Snapshot):
        yield kept
    elif isinstance(kept, list | tuple):
        for one in kept:
            yield from _recorded_in(one)


def _with_each(kept: Any, do: Callable[[Snapshot], Snapshot]) -> Any:
    if isinstance(kept, Snapshot):
        return do(kept)
    return type(kept)(_with_each(one, do) for one in kept) if isinstance(kept, list | tuple) else kept
