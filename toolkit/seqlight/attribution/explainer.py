"""One explanation: which inputs against which references, a block of sequences at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from seqlight.attribution.contributions import Block, adds_up, alike, block_of, more_references, worst_pair
from seqlight.attribution.engine import passes
from seqlight.attribution.engine.error_hints import hinting
from seqlight.attribution.engine.lookahead_policy import Observing
from seqlight.attribution.engine.modes import Manner, Record, Sooner
from seqlight.attribution.engine.user_rules import overridden
from seqlight.attribution.engine.visibility import refuse_hidden
from seqlight.attribution.gradient_context import differentiable, gradients_of, rows_in_batches
from seqlight.attribution.kernels.buffers import Arena, lent
from seqlight.attribution.kernels.packed_weights import packing
from seqlight.attribution.targets import Targets
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.arguments import HALF, require_module
from seqlight.prediction.borrowed_model.borrow import floating_dtype
from seqlight.prediction.inputs import InputConversion, convert, explain_dtype_errors
from seqlight.prediction.row_independence.check import require_independent_rows
from seqlight.prediction.row_independence.float64 import in_model_dtype
from seqlight.sequence.checks import require_dense

# From the first sequence and the one behind the last to their references, for each input (sequences, references, ...).
Drawing: TypeAlias = Callable[[int, int], Sequence[Tensor]]

# Shuffles share a third of their positions with their sequence.
ALIKE = 0.8
# How many blocks that do not add up are looked at for missed partners, before the model is taken to be the reason.
TRIALS = 3


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
        for i, one in enumerate(self.args):
            if isinstance(one, Tensor):
                require_dense(one, f"args[{i}]")
        self.targets, self.batch_size, self.device = targets, batch_size, device
        self.manner = Manner({})
        self.arena = Arena()
        self.observing = Observing(self.manner, len(self.inputs[0]), batch_size)
        self.conversion = InputConversion(self.args, explained=len(self.inputs))
        self.dtype: torch.dtype | None = None  # asked for; None for the model's own
        self._found: torch.dtype | None = None
        self.beside = False  # whether references have copies of their sequence beside them, as partners
        self.checked, self.trials = False, 0

    @contextlib.contextmanager
    def running(
        self, dtype: torch.dtype | None, overrides: Mapping[Any, Callable[..., Any]] | None = None
    ) -> Iterator[None]:
        """Borrow the model, with gradients on, whatever mode the caller is in."""
        self.dtype, self._found = None if dtype in HALF else dtype, None
        with (
            differentiable(self.model, self.inputs[0], self.device, dtype),
            overridden(self.model, overrides) as self.manner.rules,
            hinting(dtype),
            packing(),
        ):
            yield

    def blocks(self, draw: Drawing, n: int) -> Iterator[tuple[int, Block]]:
        """Yield the sequences in order, as many at a time as fit into a batch with all their `n` references."""
        for first, last in self.rows(n):
            yield first, self.block(first, last, draw(first, last))

    def rows(self, n: int) -> Iterator[tuple[int, int]]:
        """Return which sequences make a batch with `n` references each: the first, and the one behind the last."""
        return rows_in_batches(len(self.inputs[0]), self.batch_size, n)

    def at_once(self, rows: int) -> int:
        """Return how many references of each of `rows` sequences make a batch."""
        return max(1, self.batch_size // rows)

    def block(self, first: int, last: int, references: Sequence[Tensor]) -> Block:
        """Explain the sequences ``first <= i < last`` against references of shape (sequences, references, ...)."""
        if not self.checked:
            # Asked of the first pair alone, for batches may be cut otherwise another time.
            self.manner.alike = nearly_alike(self.inputs[0][first], references[0][0, 0])
        find = self._explained if self.beside else self._paired
        block = find(first, last, references)
        if not self.checked:
            self._require_independent_rows(first, references, block)
            self.checked = True
        return block

    def _paired(self, first: int, last: int, references: Sequence[Tensor]) -> Block:
        """Let each reference find its partner by its place; if that fails, lay copies of the sequence beside them.

        It fails where a model merges the batch into another dimension as the minor index, joins both strands
        into one batch, or loops over rows.
        """
        pairs, block = references[0].shape[:2].numel(), None
        try:
            block = self._explained(first, last, references)
        except UnsupportedOperation:
            if pairs == 1 and not self.observing.used:
                raise
        # Tried again here and not in the handler, where what the first error holds would live as long as the next.
        if block is not None and adds_up(block):
            return block
        if self.observing.stop():  # what was observed ahead may be of others
            return self._paired(first, last, references)
        if block is None:
            self._lay_beside()
            return self._explained(first, last, references)
        if pairs == 1 or self.trials == TRIALS:
            return block
        # Some pairs may be right by accident: the worst one on its own tells whether partners were missed.
        self.trials += 1
        i, k = worst_pair(block)
        trial = self._explained(first + i, first + i + 1, [one[i : i + 1, k : k + 1] for one in references])
        if not adds_up(trial) or alike(trial, block, i, k):
            return block
        self._lay_beside()
        return self._explained(first, last, references)

    def _lay_beside(self) -> None:
        self.beside = True
        self.observing.stop()

    def _explained(self, first: int, last: int, references: Sequence[Tensor]) -> Block:
        while True:
            with passes.met_otherwise(self.manner):
                return self._attempt(first, last, references)

    def _attempt(self, first: int, last: int, references: Sequence[Tensor]) -> Block:
        rows = torch.arange(first, last, device="cpu")
        inputs, args, copies, record, parts = self._inputs_of(rows), self._args_of(rows), 0, Record(), []
        for chunk in zip(*(torch.split(one, self.at_once(last - first), dim=1) for one in references), strict=True):
            n = chunk[0].shape[1]
            if copies not in (1, n):
                copies = n if self.beside else 1
                record = self._observe(rows, copies) if self.beside else self.observing.of(first, last, self._observe)
            # The reference index is the major one: see pairing.
            flat = [self._sent(one.transpose(0, 1).flatten(0, 1), self._dtype()) for one in chunk]
            parts.append(self._part(inputs, flat, self._forward(args, rows, n), record))
        return more_references(parts)

    def _observe(self, rows: Tensor, copies: int = 1) -> Record:
        """Return what the rules need of some sequences, each laid as often beside itself as `copies` says."""
        inputs, args = self._inputs_of(rows), self._args_of(rows)
        beside = [one.repeat(copies, *[1] * (one.ndim - 1)) for one in inputs] if copies > 1 else inputs
        return passes.observe(self.model, self._forward(args, rows, copies), beside, self.manner)

    def _part(
        self, inputs: Sequence[Tensor], references: Sequence[Tensor], forward: passes.Forward, record: Record
    ) -> Block:
        # In a function of its own, for the graph has to be gone before the next batch makes another.
        with lent(self.arena):
            leaves, baselines = passes.explain(self.model, forward, references, self.manner, record)
            multipliers = gradients_of(baselines, leaves)
        outputs = record.output[: len(inputs[0])]
        return block_of(inputs, references, multipliers, outputs, baselines.detach())

    def _require_independent_rows(self, first: int, references: Sequence[Tensor], block: Block) -> None:
        """Raise UnsupportedOperation if a sequence beside a reference has another output than it had."""
        i, k = _in_between(block.outputs[:, 0], block.baselines[:, 0])
        row = torch.tensor([first + i], device="cpu")
        both = [
            # Each by itself: of inputs and baselines one may be in integers.
            torch.cat([self._sent(one, self._dtype()) for one in (x[row.to(x.device)], r[i, k : k + 1])])
            for x, r in zip(self.inputs, references, strict=True)
        ]

        def run(rows: Sequence[int]) -> Tensor:
            with torch.no_grad(), Sooner(self.manner):
                mine = in_model_dtype(self.model, [one[list(rows)] for one in both])
                return self._forward(self._args_of(row), row, len(rows))(*mine).cpu()

        wanted = torch.stack([block.outputs[i], block.baselines[i, :, k]])
        require_independent_rows(self.model, run, wanted if self.batch_size > 1 else wanted[:1], self.batch_size)

    def outputs(self, inputs: Sequence[Tensor], first: int, last: int) -> Tensor:
        """Return what the model gives for `inputs` in the place of the sequences ``first <= i < last``.

        Parameters
        ----------
        inputs : sequence of torch.Tensor, each of shape (sequences, ...)
            In the shapes of those that are explained: these, or what they are compared with.
        first, last : int

        Returns
        -------
        torch.Tensor, shape (last - first, targets)
        """
        rows = torch.arange(first, last, device="cpu")
        mine = [self._sent(one.detach()[first:last], self._dtype()) for one in inputs]
        with torch.no_grad():
            return self._forward(self._args_of(rows), rows, 1)(*mine)

    def _dtype(self) -> torch.dtype:
        if self._found is None:  # once while the model is borrowed: it is asked for with every batch
            self._found = self.dtype or floating_dtype(self.model, self.inputs[0])
        return self._found

    def _inputs_of(self, rows: Tensor) -> list[Tensor]:
        """Return some sequences, on the device."""
        return [self._sent(one.detach()[rows.to(one.device)], self._dtype()) for one in self.inputs]

    def _sent(self, one: Tensor, dtype: torch.dtype) -> Tensor:
        return convert(one, dtype, self.device)

    def _args_of(self, rows: Tensor) -> list[Any]:
        """Return the further inputs of some sequences, on the device."""
        # Clones, because a model may write to its inputs.
        mine = [one[rows.to(one.device)] if self._has_rows(one) else one for one in self.args]
        copies = [one.detach().clone() if isinstance(one, Tensor) else one for one in mine]
        nothing = [None] * len(self.inputs)
        return self.conversion.apply([*nothing, *copies], self._dtype(), self.device)[len(nothing) :]

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

        def forward(*inputs: Tensor) -> Tensor:
            with explain_dtype_errors([*inputs, *more]):
                output = self.model(*inputs, *more)
            return self.targets.read(output, repeated)

        return forward


def nearly_alike(sequence: Tensor, reference: Tensor) -> bool:
    """Return whether both are the same at most positions, as a mutant and its wild type are, and no shuffle is."""
    if sequence.ndim < 2 or sequence.shape != reference.shape:
        return False
    same = (sequence.to(reference) == reference).flatten(0, -2).all(dim=0)
    return bool(same.float().mean() > ALIKE)


def _in_between(outputs: Tensor, baselines: Tensor) -> tuple[int, int]:
    """Return which sequence and which of its references to ask for again, by what the model gave of them.

    Neither the largest nor the least of all, for beside each other these are so too; and not alike.

    Examples
    --------
    >>> _in_between(torch.tensor([9.0, 4.0]), torch.tensor([[5.0, 6.0, 7.0], [0.0, 4.1, 8.0]]))
    (1, 2)
    """
    every = torch.cat([outputs, baselines.flatten()])
    i = int((outputs - every.nanmedian()).abs().argmin())
    apart = (baselines[i] - outputs[i]).abs()
    ends = (baselines[i] == every.amax()) | (baselines[i] == every.amin())
    return i, int(apart.masked_fill(ends, -1).argmax())
