"""Rows of any inputs against baselines of their own, in the digits that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.contributions import Block, Misses, Policy
from seqlight.attribution.explainer import Explaining
from seqlight.attribution.gradient_context import rows_in_batches
from seqlight.attribution.targets import Target, Targets
from seqlight.errors import ConvergenceError, UnsupportedOperation
from seqlight.prediction.borrowed_model.borrow import floating_dtype

# From multipliers, inputs and baselines, each a tuple with a row for each pair, to what is wanted of each input.
Making = Callable[[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Compared:
    """What came of a comparison.

    Attributes
    ----------
    wanted : tuple of torch.Tensor, each of shape (rows, ...)
        For each input, the mean over baselines.
    deltas : torch.Tensor, shape (rows * baselines,)
        By how much contributions miss the differences of outputs, those of a row together.
    misses : Misses
        What there is to tell of them.
    """

    wanted: tuple[Tensor, ...]
    deltas: Tensor
    misses: Misses


@dataclass(frozen=True)
class Comparison:
    """A model, what goes into it, and with what each row is compared.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(*inputs, *args)``.
    inputs : tuple of torch.Tensor, each of shape (rows, ...)
        What to explain, on the device that it is explained on.
    args : tuple
        Further inputs, as in :class:`seqlight.attribution.explainer.Explaining`.
    target : target
        What to read from the output.
    batch_size : int
        Pairs of a row and a baseline at a time.
    overrides : mapping, optional
        Of rules.
    threshold, policy
        Of :class:`seqlight.attribution.contributions.Misses`.
    """

    model: nn.Module
    inputs: tuple[Tensor, ...]
    args: tuple[Any, ...]
    target: Target
    batch_size: int
    overrides: Mapping[Any, Callable[..., Any]] | None = None
    threshold: float = 0.001
    policy: Policy = "warn"

    def with_baselines(self, baselines: Sequence[Tensor], make: Making) -> Compared:
        """Explain each row; where contributions do not add up for want of digits, in float64.

        Logits of a million, say, leave float32 no digits for the softmax of them. Whether digits are all that is
        missing only the second pass tells, so there is none where the policy is to ignore what is missed.

        Parameters
        ----------
        baselines : sequence of torch.Tensor, each of shape (rows, baselines, ...)
            For each input.
        make : callable
            What to return of multipliers, inputs and baselines.

        Returns
        -------
        Compared
            In the dtype that the model computes in, on the device of the inputs.
        """
        found, error = None, None
        try:
            found = self._explained(baselines, make, None)
        except (ConvergenceError, UnsupportedOperation) as missed:
            error = missed.with_traceback(None)
        # Behind the handler, where the memory of the first pass is free again.
        if found is None or (self.policy != "ignore" and found.misses.high()):
            found = self._in_double(baselines, make) or found
        if found is not None:
            return found
        assert error is not None
        try:
            raise error
        finally:
            del error  # or it would refer to itself by way of this frame, and keep the model

    def differences(self, baselines: Sequence[Tensor]) -> Tensor:
        """Return the outputs of the rows minus those of their baselines.

        Parameters
        ----------
        baselines : sequence of torch.Tensor, each of shape (rows, ...)
            For each input, in its shape.

        Returns
        -------
        torch.Tensor, shape (rows,)
            On the device of the inputs.
        """
        job, found = self._job(), []
        with job.running(None):
            for first, last in rows_in_batches(len(self.inputs[0]), self.batch_size, 1):
                found.append(job.outputs(self.inputs, first, last) - job.outputs(baselines, first, last))
        return torch.cat(found).squeeze(1)

    def _in_double(self, baselines: Sequence[Tensor], make: Making) -> Compared | None:
        """Return what float64 finds, in the dtype of the model; None where that has as many digits or does not run."""
        here = self.inputs[0].device.type
        short = floating_dtype(self.model, self.inputs[0]) != torch.float64
        if not short or here == "mps" or torch.is_autocast_enabled(here):
            return None
        try:
            found = self._explained(baselines, make, torch.float64)
        # A model may make tensors of float32 itself, or need more memory than is left.
        except (RuntimeError, TypeError):
            return None
        return Compared(tuple(one.float() for one in found.wanted), found.deltas.float(), found.misses)

    def _job(self) -> Explaining:
        targets = Targets(self.target, len(self.inputs[0]))
        return Explaining(self.model, self.inputs, self.args, targets, self.batch_size, self.inputs[0].device)

    def _explained(self, baselines: Sequence[Tensor], make: Making, dtype: torch.dtype | None) -> Compared:
        job, misses = self._job(), Misses(self.threshold, self.policy)
        parts: list[list[Tensor]] = []
        deltas: list[Tensor] = []
        with job.running(dtype, self.overrides):
            for first, block in job.blocks(lambda a, b: [one[a:b] for one in baselines], baselines[0].shape[1]):
                # What comes back in float32 misses nothing that float32 cannot hold.
                misses.add(_in_single(block) if dtype == torch.float64 else block)
                parts.append(_made_of(block, [one[first : first + len(block.deltas)] for one in self.inputs], make))
                deltas.append(block.deltas.flatten())
        here = self.inputs[0].device
        wanted = tuple(torch.cat(some).to(here) for some in zip(*parts, strict=True))
        return Compared(wanted, torch.cat(deltas).to(here), misses)


def _in_single(block: Block) -> Block:
    return Block((), (), block.deltas.float(), block.outputs.float(), block.baselines.float())


def _made_of(block: Block, inputs: Sequence[Tensor], make: Making) -> list[Tensor]:
    """Return what is wanted for each input, the mean over its baselines."""
    n = block.deltas.shape[2]
    m = tuple(one.flatten(0, 2) for one in block.multipliers)
    r = tuple(one.flatten(0, 1) for one in block.references)
    x = tuple(one.detach().cpu().to(a.dtype).repeat_interleave(n, dim=0) for one, a in zip(inputs, r, strict=True))
    return [one.reshape(-1, n, *one.shape[1:]).mean(dim=1) for one in make(m, x, r)]
