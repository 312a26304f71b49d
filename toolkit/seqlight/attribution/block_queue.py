"""Blocks that a device computes: what is wanted of one is fetched while the next one is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from seqlight.attribution.contributions import Block, Pairs
from seqlight.attribution.reductions import Reduction, keep_multipliers
from seqlight.prediction.batch_size import BatchSize, BatchTrial
from seqlight.prediction.device_dtypes import has_float64
from seqlight.prediction.device_memory import is_out_of_memory, is_too_large, release_memory
from seqlight.prediction.host_copies import HostCopy


class PairExplainer(Protocol):
    """A method that compares sequences with references, a block of sequences at a time.

    Attributes
    ----------
    device : torch.device
        Where it computes.
    """

    device: torch.device

    def batches(self, n: int) -> Iterator[tuple[int, int]]:
        """Yield the sequences ``first <= i < last`` of each batch, where each has `n` references."""

    def explain(self, pairs: Iterable[Pairs], reduction: Reduction) -> Iterator[ReducedBlock]:
        """Yield what is wanted of each block, in order."""


class BlockExplainer(PairExplainer, Protocol):
    """A method whose blocks go through a BlockQueue.

    Attributes
    ----------
    size : BatchSize
        How many pairs it computes at a time.
    revision : int
        Grows when a block that was settled has changed how blocks are explained.
    rows_checked : bool
        Whether a block has been settled, or that of an explainer before: the next one need not be waited for.
    """

    size: BatchSize
    revision: int
    rows_checked: bool

    def launch(self, pairs: Pairs) -> Block:
        """Return the block of some pairs, on the device, which may still have to compute it."""

    def settle(self, pairs: Pairs, block: Block, figures: Block) -> Block:
        """Return `block`, or another one in its place, given its deltas and outputs on the CPU."""

    def forget(self) -> None:
        """Forget what was computed ahead: its memory is needed."""


@dataclass(frozen=True)
class ReducedBlock:
    """What was wanted of a block, on the CPU.

    Attributes
    ----------
    pairs : Pairs
        What was explained.
    block : Block
        Its deltas and outputs, and the references as they were drawn; without its multipliers.
    values : tuple of torch.Tensor
        What the reduction returned.
    members : torch.Tensor or None, shape (sequences, targets, folds, strands, shifts, letters, positions)
        Of an ensemble: the mean hypothetical contributions of each member.
    """

    pairs: Pairs
    block: Block
    values: tuple[Tensor, ...]
    members: Tensor | None = None


@dataclass(frozen=True)
class _Launched:
    """A block that the device computes, and what is wanted of it on its way to the CPU."""

    pairs: Pairs
    block: Block
    copy: HostCopy


class BlockQueue:
    """Reduces blocks on the device, or on the CPU if the device has no float64, and has at most one of them in flight.

    On a device there is one wait for a block, and that while the next one is computed. A block that was launched in
    vain, because the one before it changed how blocks are explained, is launched again: results are those of one block
    after the other. Where memory runs out, a block is divided.

    Parameters
    ----------
    explainer : BlockExplainer
        Its model has been borrowed already.
    reduction : Reduction
        What is wanted of each block.
    """

    def __init__(self, explainer: BlockExplainer, reduction: Reduction) -> None:
        self.explainer, self.reduction = explainer, reduction
        self._on_cpu, self._reduces_there = explainer.device.type == "cpu", has_float64(explainer.device)
        self._settled = explainer.rows_checked  # by the first block, which may decide how the others are explained
        self._before: _Launched | Pairs | None = None
        self.trial = explainer.size.trial(1)

    def __len__(self) -> int:
        return int(self._before is not None)

    def divide(self, pairs: Iterable[Pairs]) -> Iterator[Pairs]:
        """Yield pairs, to be launched and added inside the context `trial`; where that fails, again fewer at a time."""
        size = self.explainer.size
        for some in pairs:
            left = [some]
            while left:
                part = left.pop()
                self.trial = size.trial(self._at_a_time(part))
                yield part
                if self.trial.failed:
                    self._make_room(self.trial)
                    left += reversed(part.divide(size.copies(part.references[0].shape[1])))

    def add(self, pairs: Pairs, block: Block | None) -> Iterator[ReducedBlock]:
        """Add a block that was launched, or None if that failed, and yield those that are ready."""
        if self._before is not None:
            launched, revision = self._try_to_fetch(pairs, block), self.explainer.revision
            found = self._finish_last(self._before)
            launched = launched if self.explainer.revision == revision else None
            yield from found
            self._before = launched or self._fetch(pairs, self.explainer.launch(pairs))
        else:
            self._before = self._fetch(pairs, block or self.explainer.launch(pairs))
        if self._on_cpu or not self._settled:
            try:
                yield from self.rest()
            except BaseException:
                self._before = None  # the pairs come again, if fewer at a time
                raise
            self._settled = True

    def rest(self) -> Iterator[ReducedBlock]:
        """Yield the last block."""
        if self._before is not None:
            yield from self._finish_last(self._before)

    def _finish_last(self, before: _Launched | Pairs) -> list[ReducedBlock]:
        """Finish the last block; where memory runs out as it is settled, compute it again, fewer pairs at a time."""
        pairs = before.pairs if isinstance(before, _Launched) else before
        if isinstance(before, _Launched):
            trial = self.explainer.size.trial(self._at_a_time(pairs), measured=False)
            with trial:
                found = [self._finish(before)]
                self._before = None
                return found
            self._before = pairs  # still to be done, whatever happens now; without the memory of what was launched
            del before
            self._make_room(trial)
        found = self._compute(pairs)
        self._before = None
        return found

    def _compute(self, pairs: Pairs) -> list[ReducedBlock]:
        """Compute pairs one batch after the other."""
        found: list[ReducedBlock] = []
        for part in pairs.divide(self.explainer.size.copies(pairs.references[0].shape[1])):
            trial = self.explainer.size.trial(self._at_a_time(part), measured=False)
            with trial:
                found.append(self._finish(self._fetch(part, self.explainer.launch(part))))
            if trial.failed:
                self._make_room(trial)
                found += self._compute(part)
        return found

    def _at_a_time(self, pairs: Pairs) -> int:
        """Return how many of the pairs go through the model at a time."""
        rows = pairs.last - pairs.first
        return rows * min(pairs.references[0].shape[1], self.explainer.size.copies(rows))

    def _make_room(self, trial: BatchTrial) -> None:
        self.explainer.forget()
        self.explainer.size.halve(trial)

    def _try_to_fetch(self, pairs: Pairs, block: Block | None) -> _Launched | None:
        """Return None without a block, or after an error: the block before comes first, and may change this one."""
        try:
            return None if block is None else self._fetch(pairs, block)
        except Exception as error:
            if is_too_large(error):
                raise
            return None

    def _fetch(self, pairs: Pairs, block: Block) -> _Launched:
        copy = HostCopy([*block.figures, *self._reduce(block)])
        return _Launched(pairs, block if self._on_cpu else replace(block, references=()), copy)

    def _reduce(self, block: Block) -> tuple[Tensor, ...]:
        """Return what is wanted of a block, or what it can be computed of on the CPU."""
        if not self._reduces_there:
            return keep_multipliers(block)
        try:
            return self.reduction(block)
        except RuntimeError as error:
            several = len(block.outputs) > 1  # which can be divided
            if self._on_cpu or several or not is_out_of_memory(error):
                raise
        release_memory(self.explainer.device)
        return self.reduction(block.cpu())

    def _finish(self, launched: _Launched) -> ReducedBlock:
        """Wait for a block, and have it settled."""
        pairs = launched.pairs
        figures, values = self._wait(launched)
        block = self.explainer.settle(pairs, launched.block, figures)
        if block is not launched.block:
            figures, values = self._wait(self._fetch(pairs, block))
        if not self._reduces_there:
            references = tuple(one.to(m.device, m.dtype) for one, m in zip(pairs.references, values, strict=True))
            values = self.reduction(Block.with_figures(values, references, figures.figures))
        return ReducedBlock(pairs, figures, values)

    def _wait(self, launched: _Launched) -> tuple[Block, tuple[Tensor, ...]]:
        arrived, n = launched.copy.wait(), len(launched.block.figures)
        references = launched.block.references if self._on_cpu else tuple(launched.pairs.references)
        return Block.with_figures((), references, arrived[:n]), tuple(arrived[n:])


def concatenate_sequences(parts: Sequence[ReducedBlock]) -> ReducedBlock:
    """Join what was wanted of blocks of consecutive sequences, with the same number of references."""
    if len(parts) == 1:
        return parts[0]
    pairs = Pairs(parts[0].pairs.first, parts[-1].pairs.last, _join([one.pairs.references for one in parts]))
    blocks = [one.block for one in parts]
    figures = _join([one.figures for one in blocks])
    block = Block.with_figures((), tuple(_join([one.references for one in blocks])), figures)
    members = [one.members for one in parts if one.members is not None]
    values = tuple(_join([one.values for one in parts]))
    return ReducedBlock(pairs, block, values, torch.cat(members) if members else None)


def _join(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [torch.cat(some) for some in zip(*parts, strict=True)]
