"""Blocks that a device computes: what is wanted of one is fetched while the next one is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from seqlight.attribution.contributions import Block, Pairs
from seqlight.attribution.reductions import Reduction, keep_multipliers
from seqlight.prediction.device_dtypes import has_float64
from seqlight.prediction.host_copies import HostCopy


class BlockExplainer(Protocol):
    """A method that compares sequences with references, a block of sequences at a time.

    Attributes
    ----------
    device : torch.device
        Where it computes.
    revision : int
        Grows when a block that was settled has changed how blocks are explained.
    """

    device: torch.device
    revision: int

    def batches(self, n: int) -> Iterator[tuple[int, int]]:
        """Yield the sequences ``first <= i < last`` of each batch, where each has `n` references."""

    def explain(self, pairs: Iterable[Pairs], reduction: Reduction) -> Iterator[ReducedBlock]:
        """Yield what is wanted of each block, in order."""

    def launch(self, pairs: Pairs) -> Block:
        """Return the block of some pairs, on the device, which may still have to compute it."""

    def settle(self, pairs: Pairs, block: Block, figures: Block) -> Block:
        """Return `block`, or another one in its place, given its deltas and outputs on the CPU."""


@dataclass(frozen=True)
class ReducedBlock:
    """What was wanted of a block, on the CPU.

    Attributes
    ----------
    block : Block
        Its deltas and outputs, and the references as they were drawn; without its multipliers.
    values : tuple of torch.Tensor
        What the reduction returned.
    """

    block: Block
    values: tuple[Tensor, ...]


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
    after the other.

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
        self._settled = False  # whether the first block was: it may decide how the others are explained
        self._before: _Launched | None = None

    def __len__(self) -> int:
        return int(self._before is not None)

    def add(self, pairs: Pairs, block: Block | None) -> Iterator[ReducedBlock]:
        """Add a block that was launched, or None if that failed, and yield those that are ready."""
        if self._before is not None:
            launched, revision = self._try_to_fetch(pairs, block), self.explainer.revision
            found, self._before = self._finish(self._before), None
            launched = launched if self.explainer.revision == revision else None
            yield found
            self._before = launched or self._fetch(pairs, self.explainer.launch(pairs))
        else:
            self._before = self._fetch(pairs, block or self.explainer.launch(pairs))
        if self._on_cpu or not self._settled:
            yield from self.rest()
            self._settled = True

    def rest(self) -> Iterator[ReducedBlock]:
        """Yield the last block."""
        if self._before is not None:
            found, self._before = self._finish(self._before), None
            yield found

    def _try_to_fetch(self, pairs: Pairs, block: Block | None) -> _Launched | None:
        """Return None without a block, or after an error: the block before comes first, and may change this one."""
        try:
            return None if block is None else self._fetch(pairs, block)
        except Exception:
            return None

    def _fetch(self, pairs: Pairs, block: Block) -> _Launched:
        reduction = self.reduction if self._reduces_there else keep_multipliers
        copy = HostCopy([*_figures_of(block), *reduction(block)])
        return _Launched(pairs, block if self._on_cpu else replace(block, references=()), copy)

    def _finish(self, launched: _Launched) -> ReducedBlock:
        """Wait for a block, and have it settled."""
        pairs = launched.pairs
        figures, values = self._wait(launched)
        block = self.explainer.settle(pairs, launched.block, figures)
        if block is not launched.block:
            figures, values = self._wait(self._fetch(pairs, block))
        if self._on_cpu:
            return ReducedBlock(Block((), block.references, *_figures_of(figures)), values)
        if not self._reduces_there:
            references = tuple(one.to(m.device, m.dtype) for one, m in zip(pairs.references, values, strict=True))
            values = self.reduction(Block(values, references, *_figures_of(figures)))
        return ReducedBlock(Block((), tuple(pairs.references), *_figures_of(figures)), values)

    def _wait(self, launched: _Launched) -> tuple[Block, tuple[Tensor, ...]]:
        deltas, outputs, baselines, *values = launched.copy.wait()
        return Block((), (), deltas, outputs, baselines), tuple(values)


def _figures_of(block: Block) -> Sequence[Tensor]:
    return block.deltas, block.outputs, block.baselines
