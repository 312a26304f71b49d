"""One explanation: which inputs against which references, a block of sequences at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from seqlight.attribution.calls.arena import Arena, lent
from seqlight.attribution.calls.recording import Overwritten
from seqlight.attribution.contributions import Block, adds_up, alike, block_of, more_references, more_sequences
from seqlight.attribution.differentiating import differentiable
from seqlight.attribution.engine import passes
from seqlight.attribution.engine.overrides import overridden
from seqlight.attribution.engine.surroundings import refuse_hidden
from seqlight.attribution.engine.watching import Manner
from seqlight.attribution.targets import Targets
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.borrow import floating_dtype, require_module

# From the first sequence and the one behind the last to their references, for each input (sequences, references, ...).
Drawing: TypeAlias = Callable[[int, int], Sequence[Tensor]]


class Explaining:
    """A model, what goes into it, and what of its output is explained.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(*inputs, *args)``.
    inputs : sequence of torch.Tensor, each of shape (sequences, ...)
        What to explain.
    args : sequence
        Further inputs: tensors with a row for each sequence, which the references get too; anything else is
        passed on as it is.
    targets : Targets
        What to read from the output.
    batch_size : int
        Pairs of a sequence and a reference at a time.
    device : torch.device
        Where to run.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Sequence[Tensor],
        args: Sequence[Any],
        targets: Targets,
        batch_size: int,
        device: torch.device,
    ) -> None:
        require_module(model)
        refuse_hidden(model)
        self.model, self.inputs, self.args = model, tuple(inputs), tuple(args)
        self.targets, self.batch_size, self.device = targets, batch_size, device
        self.manner = Manner({})
        self.arena = Arena()
        self.alone: bool | None = None  # whether pairs have to go one at a time; None: not tried

    @contextlib.contextmanager
    def running(
        self, dtype: torch.dtype | None, overrides: Mapping[Any, Callable[..., Any]] | None = None
    ) -> Iterator[None]:
        """Borrow the model, with gradients on, whatever mode the caller is in."""
        with (
            differentiable(self.model, self.inputs[0], self.device, dtype),
            overridden(self.model, overrides) as self.manner.rules,
        ):
            yield

    def blocks(self, draw: Drawing, n: int) -> Iterator[tuple[int, Block]]:
        """Yield the sequences in order, as many at a time as fit into a batch with all their `n` references."""
        for first, last in self.rows(n):
            yield first, self.block(first, last, draw(first, last))

    def rows(self, n: int) -> Iterator[tuple[int, int]]:
        """Yield which sequences make a batch with `n` references each: the first, and the one behind the last."""
        rows, total = max(1, self.batch_size // n), len(self.inputs[0])
        for first in range(0, total, rows):
            yield first, min(first + rows, total)

    def at_once(self, rows: int) -> int:
        """Return how many references of each of `rows` sequences make a batch."""
        return max(1, self.batch_size // rows)

    def block(self, first: int, last: int, references: Sequence[Tensor]) -> Block:
        """Explain the sequences ``first <= i < last`` against references of shape (sequences, references, ...)."""
        block = None if self.alone else self._together(first, last, references)
        if block is not None:
            return block
        rows = [
            self._explained(i, i + 1, [one[i - first : i - first + 1] for one in references], 1)
            for i in range(first, last)
        ]
        return more_sequences(rows)

    def _together(self, first: int, last: int, references: Sequence[Tensor]) -> Block | None:
        """Explain several pairs at a time; None if a pair has to be on its own to meet its own partner.

        That is so where the model merges the batch into another dimension as the minor index, or loops over rows.
        """
        block, pairs = None, references[0].shape[:2].numel()
        try:
            block = self._explained(first, last, references, self.at_once(last - first))
            if self.alone is False or pairs == 1 or adds_up(block):
                return block
        except UnsupportedOperation:
            if self.alone is False or pairs == 1:
                raise
        trial = self._explained(first, first + 1, [one[:1, :1] for one in references], 1)
        self.alone = block is None or (adds_up(trial) and not alike(trial, block))
        return None if self.alone else block

    def _explained(self, first: int, last: int, references: Sequence[Tensor], at_once: int) -> Block:
        try:
            return self._attempt(first, last, references, at_once)
        except Overwritten:
            # From here on, for a model that changes its own activations in place.
            self.manner.copy = True
            return self._attempt(first, last, references, at_once)

    def _attempt(self, first: int, last: int, references: Sequence[Tensor], at_once: int) -> Block:
        dtype, rows = floating_dtype(self.model, self.inputs[0]), torch.arange(first, last)
        inputs = [self._sent(one[first:last].detach().clone(), dtype) for one in self.inputs]
        args = self._args_of(first, last, dtype)
        record = passes.observe(self.model, self._forward(args, rows, 1), inputs, self.manner)
        parts = []
        for chunk in zip(*(torch.split(one, at_once, dim=1) for one in references), strict=True):
            # The reference index is the major one: see pairing.
            flat = [self._sent(one.transpose(0, 1).flatten(0, 1), dtype) for one in chunk]
            forward = self._forward(args, rows, chunk[0].shape[1])
            with lent(self.arena):
                leaves, baselines = passes.explain(self.model, forward, flat, self.manner, record)
                multipliers = _gradients(baselines, leaves)
            parts.append(block_of(inputs, flat, multipliers, record.output, baselines.detach()))
        return more_references(parts)

    def _sent(self, one: Tensor, dtype: torch.dtype) -> Tensor:
        # Small integers travel to the device as they are and become numbers there.
        return one.to(self.device, non_blocking=True).to(dtype)

    def _args_of(self, first: int, last: int, dtype: torch.dtype) -> list[Any]:
        """Return the further inputs of some sequences, on the device."""
        # Clones, because a model may write to its inputs.
        mine = [one[first:last] if self._has_rows(one) else one for one in self.args]
        return [
            self._sent(one.detach().clone(), dtype if one.is_floating_point() else one.dtype)
            if isinstance(one, Tensor)
            else one
            for one in mine
        ]

    def _has_rows(self, arg: Any) -> bool:
        return isinstance(arg, Tensor) and arg.ndim > 0 and len(arg) == len(self.inputs[0])

    def _forward(self, args: Sequence[Any], rows: Tensor, n: int) -> passes.Forward:
        """Return the model with the further inputs of `n` references of each of `rows`, and what is read from it."""
        per_row = [self._has_rows(one) for one in self.args]
        more = [
            one.repeat(n, *[1] * (one.ndim - 1)) if n > 1 and repeats else one
            for one, repeats in zip(args, per_row, strict=True)
        ]
        repeated = rows.repeat(n)
        return lambda *inputs: self.targets.read(self.model(*inputs, *more), repeated)


def _gradients(outputs: Tensor, leaves: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return the gradients of each column of outputs at the leaves."""
    found = []
    for k, column in enumerate(outputs.unbind(dim=1)):
        last = k == outputs.shape[1] - 1
        ways = torch.autograd.grad(column.sum(), leaves, retain_graph=not last, materialize_grads=True)
        found.append(list(ways))
    return found
