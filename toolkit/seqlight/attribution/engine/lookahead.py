"""Run a few blocks of sequences through the model at once, ahead of explaining them: one takes nearly as long.

A tensor recorded of several blocks is longer in one dimension than that of one block, with the rows of one block after
those of the other. So the record is cut into those of single blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.partners import differing_dimension
from seqlight.attribution.calls.record import Record, Snapshot, map_snapshots
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.kernels.memory_layout import fills
from seqlight.prediction.batch_size import BatchSize

# At most one batch divided by this is recorded at once: a record of a sequence takes more memory than a reference.
BATCH_DIVISOR = 6
# Up to a whole batch is recorded at once if the records take no more bytes than this.
FEW_BYTES = 2**24
# Bytes in a cache line.
LINE = 64


class Lookahead:
    """Records of blocks of sequences that have not been explained yet.

    Parameters
    ----------
    policy : CallPolicy
        How calls are handled; records that were made under another state of it are dropped.
    sequences : int
        The number of sequences.
    size : BatchSize
        How many rows the model takes at a time.

    Attributes
    ----------
    used : bool
        Whether anything was recorded ahead.
    """

    def __init__(self, policy: CallPolicy, sequences: int, size: BatchSize) -> None:
        self._policy, self._state = policy, policy.state
        self._sequences, self._size, self._stopped = sequences, size, False
        self._block_shapes: Shapes | None = None
        self._records: dict[int, Record] = {}
        self.used = False

    def pop(self, first: int, last: int) -> Record | None:
        """Return the record of the sequences ``first <= i < last``, if there is one."""
        self._drop_outdated()
        found = self._records.pop(first, None)
        return found if found is not None and len(found.output) == last - first else None

    def end(self, first: int, last: int) -> int:
        """Return the end of the sequences to record now, for which the block ``first <= i < last`` is needed."""
        self._drop_outdated()
        size = last - first
        shapes = self._block_shapes
        if shapes is None or shapes.rows != size or first in self._records or last in self._records:
            return last
        few = min(self._size.rows, FEW_BYTES * size // max(1, shapes.nbytes))
        most = 0 if self._stopped else max(self._size.rows // BATCH_DIVISOR, few)
        blocks = min(most, self._sequences - first) // size
        return first + blocks * size if blocks > 1 else last

    def add(self, first: int, record: Record, rows: int) -> None:
        """Add the record of the sequences from `first` on, with `rows` of them in a block."""
        if len(record.output) == rows:
            if self._block_shapes is None or self._block_shapes.rows != rows:
                self._block_shapes = Shapes.from_record(record)
            self._records[first] = record
            return
        assert self._block_shapes is not None
        try:
            blocks = cut_record(record, self._block_shapes, len(record.output) // rows)
        except Exception:
            # A tensor was overwritten, say: the error will come again when the block is recorded on its own.
            blocks = None
        if blocks is None:
            self.stop()
            return
        self.used = True
        self._records.update({first + k * rows: one for k, one in enumerate(blocks)})

    def stop(self) -> bool:
        """Stop recording ahead; return whether anything had been recorded ahead."""
        was_used, self.used, self._stopped = self.used, False, True
        self._records.clear()
        return was_used

    def forget(self) -> None:
        """Forget all records, whose memory is needed; others may be made later, of smaller blocks."""
        self._block_shapes = None
        self._records.clear()

    def _drop_outdated(self) -> None:
        if self._state != self._policy.state:
            self._state, self._block_shapes = self._policy.state, None
            self._records.clear()


@dataclass(frozen=True)
class Shapes:
    """The calls made by a block of `rows` sequences, the shapes of what was recorded of each, and all their bytes."""

    rows: int
    calls: list[tuple[str, list[torch.Size]]]
    nbytes: int

    @classmethod
    def from_record(cls, record: Record) -> Shapes:
        """Return the shapes in the record of one block."""
        recorded = [(name, [one.tensor for one in _snapshots(kept)]) for name, kept in record.calls]
        calls = [(name, [one.shape for one in tensors]) for name, tensors in recorded]
        return cls(len(record.output), calls, sum(one.nbytes for _, tensors in recorded for one in tensors))


def cut_record(record: Record, like: Shapes, blocks: int) -> list[Record] | None:
    """Return the records of single blocks, or None if their shapes are not those of a block on its own.

    Parameters
    ----------
    record : Record
        Of several blocks.
    like : Shapes
        Of one block.
    blocks : int
        The number of blocks.

    Raises
    ------
    Overwritten
        If a recorded tensor was changed in place since.
    """
    total, shapes = len(record.output), [shape for _, kept in like.calls for shape in kept]
    recorded = [one for _, kept in record.calls for one in _snapshots(kept)]
    if [name for name, _ in record.calls] != [name for name, _ in like.calls] or len(recorded) != len(shapes):
        return None
    try:
        dimensions = [
            _find_rows(one.tensor.shape, shape, like.rows, total) for one, shape in zip(recorded, shapes, strict=True)
        ]
    except _RowsUnclear:
        return None
    pieces = [_cut_rows(one.get(), d, blocks) for one, d in zip(recorded, dimensions, strict=True)]
    scattered = [at for at, some in enumerate(pieces) if not _lies_in_one_piece(some[0])]
    outputs = record.output.split(like.rows)
    calls = [_replace_tensors(record.calls, [one[k] for one in pieces], scattered) for k in range(blocks)]
    return [Record(output, some, record.arranged) for output, some in zip(outputs, calls, strict=True)]


class _RowsUnclear(Exception):
    """The shapes of a tensor do not tell where its rows are."""


def _find_rows(many: torch.Size, one: torch.Size, rows: int, total: int) -> int | None:
    """Return the dimension that holds a tensor's `total` rows, given its shape with `rows`; None if it has no rows."""
    if many == one:
        return None
    d = differing_dimension(one, many)
    if d is None or one[d] % rows or many[d] != one[d] // rows * total:
        raise _RowsUnclear
    return d


def _cut_rows(tensor: Tensor, dimension: int | None, blocks: int) -> Sequence[Tensor]:
    """Return the part of a recorded tensor that belongs to each block; all of it, if it has no rows."""
    return [tensor] * blocks if dimension is None else torch.chunk(tensor, blocks, dim=dimension)


def _lies_in_one_piece(tensor: Tensor) -> bool:
    """Return whether a tensor covers one piece of memory, in any order of dimensions, as that of one block does."""
    return tensor.is_contiguous() or fills(tensor.shape, tensor.stride())


def _replace_tensors(
    calls: list[tuple[str, Any]], tensors: list[Tensor], scattered: Sequence[int]
) -> list[tuple[str, Any]]:
    """Return recorded calls with these tensors in place of their own, and with copies of the scattered ones."""
    for at, copy in zip(scattered, _copy_to_one_buffer([tensors[at] for at in scattered]), strict=True):
        tensors[at] = copy
    remaining = iter([Snapshot(one, one._version) for one in tensors])
    return [(name, map_snapshots(kept, lambda _: next(remaining))) for name, kept in calls]


def _copy_to_one_buffer(pieces: list[Tensor]) -> list[Tensor]:
    """Return copies that share one buffer: single ones would fragment the memory that larger tensors need."""
    if not pieces or not all(one.is_cpu for one in pieces):
        return [one.contiguous() for one in pieces]
    ends = list(itertools.accumulate((-(-one.nbytes // LINE) * LINE for one in pieces), initial=0))
    buffer = torch.empty(ends[-1], dtype=torch.uint8, device="cpu")
    copies = [
        buffer[start : start + one.nbytes].view(one.dtype).view(one.shape)
        for one, start in zip(pieces, ends, strict=False)
    ]
    torch._foreach_copy_(copies, pieces)
    return copies


def _snapshots(kept: Any) -> list[Snapshot]:
    if isinstance(kept, Snapshot):
        return [kept]
    return [found for one in kept for found in _snapshots(one)] if isinstance(kept, list | tuple) else []
