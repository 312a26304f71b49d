"""Sequences are observed a few blocks ahead of where they are explained: one alone takes nearly as long as a few."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqlight.attribution.calls.recording import Overwritten
from seqlight.attribution.engine.ahead import Shapes, taken_apart
from seqlight.attribution.engine.watching import Record

# What part of a batch is observed at once: each sequence leaves more than each of its references does.
PART = 6


class Observing:
    """What is known of blocks of sequences that have not been explained yet.

    Parameters
    ----------
    observe : callable
        From the indices of sequences to what was observed of them.
    sequences, batch_size : int
        How many there are, and how many rows the model takes at a time.
    """

    def __init__(self, observe: Callable[[Tensor], Record], sequences: int, batch_size: int) -> None:
        self._observe, self._sequences, self._room = observe, sequences, batch_size // PART
        self._alone: Shapes | None = None
        self._ready = False
        self._ahead: dict[int, Record] = {}

    def of(self, first: int, last: int) -> Record:
        """Return what is observed of the sequences ``first <= i < last``."""
        known = self._ahead.pop(first, None)
        if known is not None and len(known.output) == last - first:
            return known
        if self._ready and last not in self._ahead and (blocks := self._blocks(first, last)) > 1:
            self._together(torch.arange(first, first + blocks * (last - first)), 0, first, blocks)
            if first in self._ahead:
                return self._ahead.pop(first)
        record = self._observe(torch.arange(first, last))
        if self._alone is None:
            self._alone = Shapes.of(record)
        return record

    def beside_others(self, first: int, last: int) -> Tensor | None:
        """Observe the next blocks between twice the sequence `first`, and return what it gives there.

        Returns
        -------
        torch.Tensor, shape (2, targets), or None
            None where no others come next, or they cannot be observed at once.
        """
        self._ready = True
        blocks = self._blocks(last, 2 * last - first)
        if not blocks:
            return None
        others = torch.arange(last, last + blocks * (last - first))
        record = self._together(torch.cat([torch.tensor([first]), others, torch.tensor([first])]), 1, last, blocks)
        return None if record is None else record.output[[0, -1]].cpu()

    def forget(self) -> None:
        """Forget what is known, for blocks will be observed in another way."""
        self._ahead.clear()

    def stop(self) -> None:
        """Do not observe anything ahead from here on."""
        self._room = 0
        self.forget()

    def _blocks(self, first: int, last: int) -> int:
        """Return how many blocks of this size, from the one from `first` on, there are and there is room for."""
        alike = self._alone is not None and self._alone.rows == last - first
        return min(self._room, self._sequences - first) // (last - first) if alike else 0

    def _together(self, rows: Tensor, at: int, first: int, blocks: int) -> Record | None:
        """Observe `rows`, where the blocks from `first` on begin at `at`; None where that cannot be done."""
        assert self._alone is not None
        size = self._alone.rows
        try:
            record = self._observe(rows)
            apart = taken_apart(record, self._alone, at, blocks)
        except Overwritten:
            apart = None
        except Exception:  # of a model that takes one sequence, and not a few: what is wrong with one is told elsewhere
            apart = None
        if apart is None:
            self.stop()
            return None
        self._ahead.update({first + k * size: one for k, one in enumerate(apart)})
        return record
