"""Sequences are observed a few blocks ahead of where they are explained: one alone takes nearly as long as a few."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from seqlight.attribution.engine.lookahead import Shapes, taken_apart
from seqlight.attribution.engine.modes import Manner, Record

# From the indices of sequences to what was observed of them.
Observe: TypeAlias = Callable[[Tensor], Record]

# What part of a batch is observed at once: each sequence leaves more than each of its references does.
PART = 6


class Observing:
    """What is known of blocks of sequences that have not been explained yet.

    Parameters
    ----------
    manner : Manner
        How calls are met; what was observed in another way is forgotten.
    sequences, batch_size : int
        How many there are, and how many rows the model takes at a time.

    Attributes
    ----------
    used : bool
        Whether anything was observed ahead.
    """

    def __init__(self, manner: Manner, sequences: int, batch_size: int) -> None:
        self._manner = manner
        self._sequences, self._room = sequences, batch_size // PART
        self._alone: Shapes | None = None
        self._ahead: dict[int, Record] = {}
        self._met: tuple[object, ...] = ()
        self.used = False

    def of(self, first: int, last: int, observe: Observe) -> Record:
        """Return what `observe` finds of the sequences ``first <= i < last``, the next block.

        `observe` is passed each time, for its owner owns this too: kept here, each would keep the other, and with them
        the model and the memory of the call, until Python collects garbage.
        """
        self._forget_other_manners()
        if first not in self._ahead and last not in self._ahead:
            blocks = self._blocks(first, last)
            if blocks > 1:
                self._together(first, blocks, observe)
        known = self._ahead.pop(first, None)
        if known is not None and len(known.output) == last - first:
            return known
        record = observe(torch.arange(first, last, device="cpu"))
        if self._alone is None:
            self._alone = Shapes.of(record)
        return record

    def stop(self) -> bool:
        """Observe nothing ahead from here on; return whether anything was before."""
        was, self.used, self._room = self.used, False, 0
        self._ahead.clear()
        return was

    def _forget_other_manners(self) -> None:
        now = self._manner.copy, self._manner.careful, self._manner.alike, *self._manner.outline.state
        if now != self._met:
            self._met, self._alone = now, None
            self._ahead.clear()

    def _blocks(self, first: int, last: int) -> int:
        """Return how many blocks of this size, from this one on, there are and there is room for."""
        alike = self._alone is not None and self._alone.rows == last - first
        return min(self._room, self._sequences - first) // (last - first) if alike else 0

    def _together(self, first: int, blocks: int, observe: Observe) -> None:
        """Observe blocks from the sequence `first` on; never again, where that cannot be done."""
        assert self._alone is not None
        size = self._alone.rows
        try:
            record = observe(torch.arange(first, first + blocks * size, device="cpu"))
            apart = taken_apart(record, self._alone, blocks)
        except Exception:  # of a model that takes one sequence, and not a few: what is wrong with one is told elsewhere
            apart = None
        if apart is None:
            self.stop()
            return
        self.used = True
        self._ahead.update({first + k * size: one for k, one in enumerate(apart)})
