"""Explain a model block by block: some sequences against their references at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.block_queue import BlockQueue, ReducedBlock
from seqlight.attribution.calls.record import Record
from seqlight.attribution.calls.retry import Retry, Unexplained
from seqlight.attribution.contributions import (
    Block,
    Pairs,
    concatenate_references,
    is_complete,
    make_block,
    same_multipliers,
    worst_pair,
)
from seqlight.attribution.engine.lookahead import Lookahead
from seqlight.attribution.engine.passes import Pass, find_regions, reference_pass, refuse_unexplained, sequence_pass
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.engine.visibility import refuse_hidden
from seqlight.attribution.gradient_context import LentModel, borrow_with_rules, compute_gradients
from seqlight.attribution.kernels.buffers import Arena, lend_from
from seqlight.attribution.model_inputs import ModelInputs
from seqlight.attribution.pair_independence import require_independent_pairs
from seqlight.attribution.reductions import Reduction
from seqlight.attribution.targets import Targets, sequence_of_rows
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.arguments import require_module
from seqlight.prediction.batch_size import BatchSize
from seqlight.prediction.device_memory import is_too_large
from seqlight.prediction.input_errors import explain_input_errors

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
    size : BatchSize
        The number of pairs of a sequence and a reference at a time, and where to run.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Sequence[Tensor],
        args: Sequence[Any],
        targets: Targets,
        size: BatchSize,
    ) -> None:
        require_module(model)
        refuse_hidden(model)
        self.model, self.inputs, self.args = model, tuple(inputs), tuple(args)
        self.model_inputs = ModelInputs(inputs, args, size.device)
        self.targets, self.size, self.device = targets, size, size.device
        self.policy = CallPolicy({})
        self.arena = Arena()
        self.lookahead = Lookahead(self.policy, len(self.inputs[0]), size)
        self.begin_target: Callable[[int], None] | None = None  # called before the gradients of each target
        self.copy_per_reference = False  # whether the sequence is recorded once for each reference
        self.kernels_chosen, self.rows_checked, self.trials, self.revision = False, False, 0, 0

    @contextlib.contextmanager
    def borrow_model(
        self, dtype: torch.dtype | None, overrides: Mapping[Any, Callable[..., Any]] | None = None
    ) -> Iterator[None]:
        """Borrow the model inside, with gradients on, whatever mode the caller is in."""
        with borrow_with_rules(self.model, self.inputs[0], self.device, dtype, overrides) as lent:
            self.use(lent)
            yield

    def use(self, lent: LentModel) -> None:
        """Use a model that was borrowed, with these rules and in this dtype."""
        self.policy.rules = lent.rules
        self.model_inputs.set_dtype(lent.dtype)

    def batches(self, n: int) -> Iterator[tuple[int, int]]:
        """Yield the sequences ``first <= i < last`` of each batch, where each has `n` references."""
        return self.size.ranges(len(self.inputs[0]), n)

    def explain(self, pairs: Iterable[Pairs], reduction: Reduction) -> Iterator[ReducedBlock]:
        """Explain blocks, and yield what is wanted of each; a device computes one while the next pairs are made."""
        queue, block = BlockQueue(self, reduction), None
        for some in queue.divide(pairs):
            with queue.trial:
                try:
                    block = self.launch(some)
                except Exception as error:  # the block before comes first, and may change how this one is explained
                    if not queue or is_too_large(error):
                        raise
                yield from queue.add(some, block)
            block = None
        yield from queue.rest()

    def launch(self, pairs: Pairs) -> Block:
        """Make both passes, and repeat them where that helps; return the block, which a device may still compute."""
        self._choose_kernels(pairs)
        first, last, references = pairs
        copies, record, parts = 0, Record(), []
        try:
            for batch in self._split(last - first, references):
                n = batch[0].shape[1]
                if copies not in (1, n):
                    copies = n if self.copy_per_reference else 1
                    record = self._record_sequences(first, last, copies)
                parts.append(self._explain_batch(first, last, batch, record))
            return concatenate_references(parts)
        except Exception as reason:
            self._revise(pairs, reason)
        # Not in the handler, where the error would keep its tensors alive.
        del record, parts
        return self.launch(pairs)

    def _choose_kernels(self, pairs: Pairs) -> None:
        """Choose kernels by the first pair alone, so that the result does not depend on the size of batches."""
        if not self.kernels_chosen:
            self.policy.choose_kernels(self.inputs[0][pairs.first], pairs.references[0][0, 0], self.device)
            self.kernels_chosen = True

    def _split(self, rows: int, references: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """Return the references of each batch, for each input."""
        sent, at_once = [self.model_inputs.send(one) for one in references], self.size.copies(rows)
        if sent[0].shape[1] <= at_once:
            return iter([tuple(sent)])
        return zip(*(torch.split(one, at_once, dim=1) for one in sent), strict=True)

    def _revise(self, pairs: Pairs, reason: Exception) -> None:
        """Change what made the passes fail; raise `reason`, or a better one, if that was done already."""
        try:
            if isinstance(reason, Unexplained) and self.policy.inspect:
                inputs = self.model_inputs.rows(pairs.first, pairs.last)
                refuse_unexplained(self.model, self.make_forward(pairs.first, pairs.last), inputs, self.policy)
            if self.policy.stop_arranging(reason):
                return
            if not isinstance(reason, Retry):
                raise reason
            return self.policy.revise(reason)
        except UnsupportedOperation:
            if self.copy_per_reference or (pairs.references[0].shape[:2].numel() == 1 and not self.lookahead.used):
                raise
        finally:
            del reason  # or it would refer to itself through this frame, and keep the model alive
        # What was recorded ahead may belong to other sequences; if nothing was, partners may be others.
        self.copy_per_reference = not self.lookahead.stop()

    def settle(self, pairs: Pairs, block: Block, figures: Block) -> Block:
        """Return a block that was launched, or another one in its place, if partners were wrong.

        `figures` are its deltas and outputs on the CPU. UnsupportedOperation is raised if the model mixes rows.
        """
        if not (self.copy_per_reference or is_complete(figures)):
            revised = self._examine(pairs, block, figures)
            figures, block = (figures if revised is block else revised), revised
        if not self.rows_checked:
            require_independent_pairs(self, pairs, block, figures)
            self.rows_checked = True
        return block

    def _examine(self, pairs: Pairs, block: Block, figures: Block) -> Block:
        """Explain a block that is incomplete again, if partners may have been wrong.

        A reference does not find its partner by its row if the model merges the batch into another dimension as its
        minor index, joins both strands into one batch, or loops over rows.
        """
        self.revision += 1
        if self.lookahead.stop():  # what was recorded ahead may belong to other sequences
            block = figures = self.launch(pairs)
            if self.copy_per_reference or is_complete(block):
                return block
        if pairs.references[0].shape[:2].numel() == 1 or self.trials == MAX_TRIALS:
            return block
        # Some pairs may be right by accident: explaining the worst one on its own shows if partners were wrong.
        self.trials += 1
        i, k = worst_pair(figures)
        pair = self.launch(pairs.only(i, k))
        if not is_complete(pair) or same_multipliers(pair, block, i, k):
            return block
        self.copy_per_reference = True
        return self.launch(pairs)

    def forget(self) -> None:
        """Forget what was recorded ahead: its memory is needed."""
        self.lookahead.forget()

    def _record_sequences(self, first: int, last: int, copies: int) -> Record:
        """Return the record of some sequences, each repeated `copies` times."""
        end = last
        if copies == 1:
            record = self.lookahead.pop(first, last)
            if record is not None:
                return record
            end = self.lookahead.end(first, last)
        rows = sequence_of_rows(first, end, copies)
        inputs = self.model_inputs.rows(first, end, copies)
        args = self.model_inputs.further(first, end, copies)
        this: Pass | None = None
        try:
            with sequence_pass(self.model, inputs, self.policy) as this, explain_input_errors([*this.inputs, *args]):
                this.output = self.targets.read(self.model(*this.inputs, *args), rows)
        except Exception:  # the model may take one block but not several: an error of a single block comes again
            if end == last:
                raise
            this = None
        if this is None:
            # Not in the handler, where the error would keep the record of several blocks.
            del inputs, args
            self.lookahead.stop()
            return self._record_sequences(first, last, copies)
        if self._find_new_regions(first, end, copies, inputs):
            return self._record_sequences(first, last, copies)
        if copies > 1:
            return this.record
        self.lookahead.add(first, this.record, last - first)
        return self._record_sequences(first, last, copies)

    def _find_new_regions(self, first: int, last: int, copies: int, inputs: Sequence[Tensor]) -> bool:
        """Look for regions, if that was not done yet; return whether to record again."""
        if not self.policy.regions.unknown:
            return False
        forward = self.make_forward(first, last, copies)
        self.policy.regions.regions = find_regions(self.model, forward, inputs, self.policy)
        return self.policy.regions.checks_comparisons

    def _explain_batch(self, first: int, last: int, references: Sequence[Tensor], record: Record) -> Block:
        """Explain one batch: some of the references of the sequences ``first <= i < last``."""
        n = references[0].shape[1]
        rows = sequence_of_rows(first, last, n)
        inputs = self.model_inputs.rows(first, last)
        args = self.model_inputs.further(first, last, n)
        flat = [self.model_inputs.convert(one.transpose(0, 1).flatten(0, 1)) for one in references]  # calls/partners.py
        with lend_from(self.arena):
            with (
                reference_pass(self.model, flat, self.policy, record) as this,
                explain_input_errors([*this.inputs, *args]),
            ):
                this.output = self.targets.read(self.model(*this.inputs, *args), rows)
            multipliers = compute_gradients(this.output, this.leaves, self.begin_target)
        return make_block(inputs, flat, multipliers, record.output[: last - first], this.output.detach())

    def compute_outputs(self, inputs: Sequence[Tensor], first: int, last: int) -> Tensor:
        """Return the outputs, (last - first, targets), of the model for `inputs` in place of its own at these rows."""
        selected = [self.model_inputs.convert(one.detach()[first:last]) for one in inputs]
        with torch.no_grad():
            return self.make_forward(first, last)(*selected)

    def make_forward(self, first: int, last: int, n: int = 1) -> Callable[..., Tensor]:
        """Return a function from inputs to explained outputs, with further inputs for `n` references of each row."""
        rows = sequence_of_rows(first, last, n)
        args = self.model_inputs.further(first, last, n)

        def forward(*inputs: Tensor) -> Tensor:
            with explain_input_errors([*inputs, *args]):
                return self.targets.read(self.model(*inputs, *args), rows)

        return forward
