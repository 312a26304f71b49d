"""Explain a model block by block: some sequences against their references at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.calls.record import Record
from seqlight.attribution.calls.retry import Retry, Unexplained
from seqlight.attribution.contributions import (
    Block,
    concatenate_references,
    is_complete,
    make_block,
    same_multipliers,
    typical_pair,
    worst_pair,
)
from seqlight.attribution.engine.error_context import add_hints
from seqlight.attribution.engine.lookahead import Lookahead
from seqlight.attribution.engine.modes import KernelMode
from seqlight.attribution.engine.passes import find_regions, reference_pass, refuse_unexplained, sequence_pass
from seqlight.attribution.engine.policy import CallPolicy, nearly_equal
from seqlight.attribution.engine.user_rules import override_rules
from seqlight.attribution.engine.visibility import refuse_hidden
from seqlight.attribution.gradient_context import batch_ranges, borrow_with_gradients, compute_gradients
from seqlight.attribution.kernels.buffers import Arena, lend_from
from seqlight.attribution.kernels.packed_weights import store_packed_weights
from seqlight.attribution.targets import Targets
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.arguments import HALF, require_module
from seqlight.prediction.borrowed_model.borrow import floating_dtype
from seqlight.prediction.input_errors import explain_dtype_errors
from seqlight.prediction.inputs import InputConversion, convert
from seqlight.prediction.row_independence.check import require_independent_rows
from seqlight.prediction.row_independence.float64 import in_model_dtype
from seqlight.sequence.checks import require_dense

# The number of incomplete blocks examined for wrong partners, before the model is taken to be the reason.
MAX_TRIALS = 3


class Explainer:
    """Explains an output of a model, a block of sequences at a time.

    The sequences of a block go through the model once, and each rule records what it needs; their references follow, as
    many at a time as fit in a batch. All references share the record: each finds its sequence by its row.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(*inputs, *args)``.
    inputs : sequence of torch.Tensor, each of shape (sequences, ...)
        The sequences to explain.
    args : sequence
        Further inputs: tensors with a row for each sequence, which the references get too; anything else is
        passed on as it is.
    targets : Targets
        The outputs to explain.
    batch_size : int
        The number of pairs of a sequence and a reference at a time.
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
        self.policy = CallPolicy({})
        self.arena = Arena()
        self.lookahead = Lookahead(self.policy, len(self.inputs[0]), batch_size)
        self.conversion = InputConversion(self.args, explained=len(self.inputs))
        self.dtype: torch.dtype | None = None  # as asked for; None for the model's own
        self._dtype_in_use: torch.dtype | None = None
        self.copy_per_reference = False  # whether the sequence is recorded once for each reference
        self.rows_checked, self.trials = False, 0

    @contextlib.contextmanager
    def borrow_model(
        self, dtype: torch.dtype | None, overrides: Mapping[Any, Callable[..., Any]] | None = None
    ) -> Iterator[None]:
        """Borrow the model inside, with gradients on, whatever mode the caller is in."""
        self.dtype, self._dtype_in_use = None if dtype in HALF else dtype, None
        with (
            borrow_with_gradients(self.model, self.inputs[0], self.device, dtype),
            override_rules(self.model, overrides) as self.policy.rules,
            add_hints(dtype),
            store_packed_weights(),
        ):
            yield

    def batches(self, n: int) -> Iterator[tuple[int, int]]:
        """Return the sequences of each batch, with `n` references each: the first, and the one after the last."""
        return batch_ranges(len(self.inputs[0]), self.batch_size, n)

    def references_in_batch(self, rows: int) -> int:
        """Return how many references of each of `rows` sequences fit in a batch."""
        return max(1, self.batch_size // rows)

    def explain_block(self, first: int, last: int, references: Sequence[Tensor]) -> Block:
        """Explain the sequences ``first <= i < last`` against references of shape (sequences, references, ...)."""
        if not self.rows_checked:
            # Only the first pair decides, so that the result does not depend on the size of batches.
            self.policy.plain_kernels = nearly_equal(self.inputs[0][first], references[0][0, 0])
        block = None
        try:
            block = self._run_passes(first, last, references)
        except UnsupportedOperation:
            one_pair = references[0].shape[:2].numel() == 1
            if self.copy_per_reference or (one_pair and not self.lookahead.used):
                raise
        # Not in the handler, where the first error would keep its tensors alive.
        if block is None or not (self.copy_per_reference or is_complete(block)):
            block = self._retry_with_copies(first, last, references, block)
        if not self.rows_checked:
            self._require_independent_rows(first, references, block)
            self.rows_checked = True
        return block

    def _retry_with_copies(self, first: int, last: int, references: Sequence[Tensor], block: Block | None) -> Block:
        """Explain again a block that was refused (None) or is incomplete, if partners may have been wrong.

        A reference does not find its partner by its row if the model merges the batch into another dimension as its
        minor index, joins both strands into one batch, or loops over rows.
        """
        if self.lookahead.stop():  # what was recorded ahead may belong to other sequences
            return self.explain_block(first, last, references)
        if block is not None:
            if references[0].shape[:2].numel() == 1 or self.trials == MAX_TRIALS:
                return block
            # Some pairs may be right by accident: explaining the worst one on its own shows if partners were wrong.
            self.trials += 1
            i, k = worst_pair(block)
            pair = self._run_passes(first + i, first + i + 1, [one[i : i + 1, k : k + 1] for one in references])
            if not is_complete(pair) or same_multipliers(pair, block, i, k):
                return block
        self.copy_per_reference = True
        self.lookahead.stop()
        return self._run_passes(first, last, references)

    def _run_passes(self, first: int, last: int, references: Sequence[Tensor]) -> Block:
        """Make both passes; repeat them if the policy had to be revised."""
        copies, record, parts = 0, Record(), []
        rows = torch.arange(first, last, device="cpu")
        inputs = self._select_inputs(rows)
        batches = zip(
            *(torch.split(one, self.references_in_batch(last - first), dim=1) for one in references), strict=True
        )
        try:
            for batch in batches:
                n = batch[0].shape[1]
                if copies not in (1, n):
                    copies = n if self.copy_per_reference else 1
                    record = self._record_sequences(first, last, copies)
                parts.append(self._explain_batch(rows, inputs, batch, record))
            return concatenate_references(parts)
        except Retry as reason:
            if isinstance(reason, Unexplained) and self.policy.inspect:
                refuse_unexplained(self.model, self._make_forward(rows), inputs, self.policy)
            self.policy.revise(reason)
        del inputs, record, parts  # or they would live as long as what follows
        return self._run_passes(first, last, references)

    def _record_sequences(self, first: int, last: int, copies: int) -> Record:
        """Return the record of some sequences, each repeated `copies` times."""
        end = last
        if copies == 1:
            record = self.lookahead.pop(first, last)
            if record is not None:
                return record
            end = self.lookahead.end(first, last)
        rows = torch.arange(first, end, device="cpu")
        inputs, args = [_repeat_rows(one, copies) for one in self._select_inputs(rows)], self._select_args(rows, copies)
        try:
            with sequence_pass(self.model, inputs, self.policy) as this, explain_dtype_errors([*this.inputs, *args]):
                this.output = self.targets.read(self.model(*this.inputs, *args), rows.repeat(copies))
        except Exception:  # the model may take one block but not several: an error of a single block comes again
            if end == last:
                raise
            self.lookahead.stop()
            return self._record_sequences(first, last, copies)
        if self._find_new_regions(rows, copies, inputs):
            return self._record_sequences(first, last, copies)
        if copies > 1:
            return this.record
        self.lookahead.add(first, this.record, last - first)
        return self._record_sequences(first, last, copies)

    def _find_new_regions(self, rows: Tensor, copies: int, inputs: Sequence[Tensor]) -> bool:
        """Look for regions, if that was not done yet; return whether to record again."""
        if not self.policy.regions.unknown:
            return False
        self.policy.regions.regions = find_regions(self.model, self._make_forward(rows, copies), inputs, self.policy)
        return self.policy.regions.checks_comparisons

    def _explain_batch(
        self, rows: Tensor, inputs: Sequence[Tensor], references: Sequence[Tensor], record: Record
    ) -> Block:
        """Explain one batch: some of the references of the sequences `rows`, which are `inputs` on the device."""
        n = references[0].shape[1]
        args = self._select_args(rows, n)
        # The reference index is the major one: see calls/partners.py.
        flat = [convert(one.transpose(0, 1).flatten(0, 1), self._dtype(), self.device) for one in references]
        with lend_from(self.arena):
            with (
                reference_pass(self.model, flat, self.policy, record) as this,
                explain_dtype_errors([*this.inputs, *args]),
            ):
                this.output = self.targets.read(self.model(*this.inputs, *args), rows.repeat(n))
            multipliers = compute_gradients(this.output, this.leaves)
        outputs = record.output[: len(rows)]
        return make_block(inputs, flat, multipliers, outputs, this.output.detach())

    def _require_independent_rows(self, first: int, references: Sequence[Tensor], block: Block) -> None:
        """Raise UnsupportedOperation if the output of a sequence changes when it shares a batch with a reference."""
        i, k = typical_pair(block)
        row = torch.tensor([first + i], device="cpu")
        both = [
            # Converted one by one: inputs or baselines may be integers.
            torch.cat([convert(one, self._dtype(), self.device) for one in (x[row.to(x.device)], r[i, k : k + 1])])
            for x, r in zip(self.inputs, references, strict=True)
        ]

        def run(rows: Sequence[int]) -> Tensor:
            with torch.no_grad(), KernelMode(self.policy):
                chosen = in_model_dtype(self.model, [one[list(rows)] for one in both])
                return self._make_forward(row, len(rows))(*chosen).cpu()

        expected = torch.stack([block.outputs[i], block.baselines[i, :, k]])
        require_independent_rows(self.model, run, expected if self.batch_size > 1 else expected[:1], self.batch_size)

    def compute_outputs(self, inputs: Sequence[Tensor], first: int, last: int) -> Tensor:
        """Return the outputs of the model for `inputs` in place of the sequences ``first <= i < last``.

        Parameters
        ----------
        inputs : sequence of torch.Tensor, each of shape (sequences, ...)
            The explained inputs, or baselines of the same shapes.
        first, last : int

        Returns
        -------
        torch.Tensor, shape (last - first, targets)
        """
        rows = torch.arange(first, last, device="cpu")
        selected = [convert(one.detach()[first:last], self._dtype(), self.device) for one in inputs]
        with torch.no_grad():
            return self._make_forward(rows)(*selected)

    def _dtype(self) -> torch.dtype:
        if self._dtype_in_use is None:  # only once while the model is borrowed: every batch needs it
            self._dtype_in_use = self.dtype or floating_dtype(self.model, self.inputs[0])
        return self._dtype_in_use

    def _select_inputs(self, rows: Tensor) -> list[Tensor]:
        """Return the inputs of some sequences, on the device."""
        return [convert(one.detach()[rows.to(one.device)], self._dtype(), self.device) for one in self.inputs]

    def _select_args(self, rows: Tensor, n: int = 1) -> list[Any]:
        """Return the further inputs for `n` references of each of `rows`, on the device."""
        per_row = [isinstance(one, Tensor) and one.ndim > 0 and len(one) == len(self.inputs[0]) for one in self.args]
        selected = [one[rows.to(one.device)] if own else one for one, own in zip(self.args, per_row, strict=True)]
        # Clones, because a model may write to its inputs.
        copies = [one.detach().clone() if isinstance(one, Tensor) else one for one in selected]
        nothing = [None] * len(self.inputs)
        sent = self.conversion.apply([*nothing, *copies], self._dtype(), self.device)[len(nothing) :]
        return [_repeat_rows(one, n) if own else one for one, own in zip(sent, per_row, strict=True)]

    def _make_forward(self, rows: Tensor, n: int = 1) -> Callable[..., Tensor]:
        """Return a function from inputs to explained outputs, with further inputs for `n` references of each row."""
        args = self._select_args(rows, n)

        def forward(*inputs: Tensor) -> Tensor:
            with explain_dtype_errors([*inputs, *args]):
                return self.targets.read(self.model(*inputs, *args), rows.repeat(n))

        return forward


def _repeat_rows(one: Tensor, n: int) -> Tensor:
    """Return all rows repeated `n` times, copy after copy."""
    return one.repeat(n, *[1] * (one.ndim - 1)) if n > 1 else one
