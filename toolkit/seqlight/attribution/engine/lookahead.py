"""What was observed of many sequences at once, taken apart by blocks of them.

To observe one sequence takes nearly as long as to observe a few. A tensor of these is longer, in one dimension, than
that of one block was, and the rows lie there one behind the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Recorded
from seqlight.attribution.engine.modes import Record

# Bytes of a line of the cache.
LINE = 64
# In which dimension a tensor is longer, and how long it is for each row; None where it is not.
_Place = tuple[int, int] | None


@dataclass(frozen=True)
class Shapes:
    """Which calls a block of `rows` sequences met, and the shapes of what each kept."""

    rows: int
    calls: list[tuple[str, list[torch.Size]]]

    @classmethod
    def of(cls, record: Record) -> Shapes:
        """Look at what was observed of one block."""
        return cls(
            len(record.output), [(name, [one.tensor.shape for one in _all(kept)]) for name, kept in record.calls]
        )


def taken_apart(record: Record, like: Shapes, blocks: int) -> list[Record] | None:
    """Return the records of some blocks, or None if they are not like those of a block on its own.

    Parameters
    ----------
    record : Record
        Of many sequences.
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
    met = [one for _, kept in record.calls for one in _all(kept)]
    if [name for name, _ in record.calls] != [name for name, _ in like.calls] or len(met) != len(shapes):
        return None
    places = [_place(one.tensor.shape, shape, like.rows, total) for one, shape in zip(met, shapes, strict=True)]
    if any(place is False for place in places):
        return None
    return [_cut(record, places, k * like.rows, like.rows) for k in range(blocks)]


def _place(many: torch.Size, one: torch.Size, rows: int, total: int) -> Any:
    """Return where a tensor of `total` rows has them, for its shape with `rows`; False where that cannot be told."""
    if many == one:
        return None
    longer = [d for d in range(len(one)) if many[d] != one[d]] if len(many) == len(one) else []
    if len(longer) != 1 or one[longer[0]] % rows or many[longer[0]] != one[longer[0]] // rows * total:
        return False
    return longer[0], one[longer[0]] // rows


def _cut(record: Record, places: list[_Place], first: int, rows: int) -> Record:
    where = iter(places)

    def piece(recorded: Recorded) -> Tensor:
        place, tensor = next(where), recorded.get()
        return tensor if place is None else tensor.narrow(place[0], first * place[1], rows * place[1])

    here = iter(_in_one_piece([piece(one) for _, kept in record.calls for one in _all(kept)]))

    def put(_: Recorded) -> Recorded:
        found = next(here)
        return Recorded(found, found._version)

    calls = [(name, _each(kept, put)) for name, kept in record.calls]
    return Record(record.output[first : first + rows], calls)


def _in_one_piece(pieces: list[Tensor]) -> list[Tensor]:
    """Return each contiguous: most are, as the rows of a batch lie one behind the other."""
    copies = iter(_together([one for one in pieces if not one.is_contiguous()]))
    return [one if one.is_contiguous() else next(copies) for one in pieces]


def _together(pieces: list[Tensor]) -> list[Tensor]:
    """Return copies that lie in one piece of memory: each on its own would take the place of a larger tensor."""
    if not pieces or not all(one.is_cpu for one in pieces):
        return [one.contiguous() for one in pieces]
    ends = list(itertools.accumulate((-(-one.nbytes // LINE) * LINE for one in pieces), initial=0))
    room = torch.empty(ends[-1], dtype=torch.uint8, device="cpu")
    found = [
        room[start : start + one.nbytes].view(one.dtype).view(one.shape)
        for one, start in zip(pieces, ends, strict=False)
    ]
    torch._foreach_copy_(found, pieces)
    return found


def _all(kept: Any) -> Iterator[Recorded]:
    if isinstance(kept, Recorded):
        yield kept
    elif isinstance(kept, list | tuple):
        for one in kept:
            yield from _all(one)


def _each(kept: Any, do: Callable[[Recorded], Recorded]) -> Any:
    if isinstance(kept, Recorded):
        return do(kept)
    return type(kept)(_each(one, do) for one in kept) if isinstance(kept, list | tuple) else kept
