"""Compare the rows of any inputs with their baselines, in float64 where float32 has too few digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.contributions import Block, Pairs
from seqlight.attribution.convergence import ConvergenceCheck, DeltaPolicy
from seqlight.attribution.explainer import Explainer
from seqlight.attribution.targets import Targets
from seqlight.errors import ConvergenceError, UnsupportedOperation
from seqlight.prediction.batch_size import BatchSize
from seqlight.prediction.borrowed_model.borrow import floating_dtype
from seqlight.prediction.device_dtypes import has_float64
from seqlight.prediction.float32_precision import Precision, hold_precision
from seqlight.targets.contrast import Target

# From multipliers, inputs and baselines, each a tuple with a row for each pair, to attributions of each input.
AttributionFunction = Callable[[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]], tuple[Tensor, ...]]


@dataclass(frozen=True)
class ComparisonResult:
    """Attributions of all rows, and their convergence.

    Attributes
    ----------
    attributions : tuple of torch.Tensor, each of shape (rows, ...)
        For each input, the mean over baselines.
    deltas : torch.Tensor, shape (rows * baselines,)
        Sums of contributions minus differences of outputs, those of a row together.
    check : ConvergenceCheck
        Has all deltas, and has not warned yet.
    """

    attributions: tuple[Tensor, ...]
    deltas: Tensor
    check: ConvergenceCheck


@dataclass(frozen=True)
class Comparison:
    """A model and its inputs, to be compared with baselines.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(*inputs, *args)``.
    inputs : tuple of torch.Tensor, each of shape (rows, ...)
        What to explain, on the device to run on.
    args : tuple
        Further inputs, as in :class:`seqlight.attribution.explainer.Explainer`.
    target : target
        What to read from the output.
    size : BatchSize
        Pairs of a row and a baseline at a time.
    overrides : mapping, optional
        Rules of the user's own.
    threshold, policy
        As in :class:`seqlight.attribution.convergence.ConvergenceCheck`.
    precision : "tf32" or None
        How exactly float32 is computed on an accelerator.
    """

    model: nn.Module
    inputs: tuple[Tensor, ...]
    args: tuple[Any, ...]
    target: Target
    size: BatchSize
    overrides: Mapping[Any, Callable[..., Any]] | None = None
    threshold: float = 0.001
    policy: DeltaPolicy = "warn"
    precision: Precision = None

    def attribute(self, baselines: Sequence[Tensor], function: AttributionFunction) -> ComparisonResult:
        """Explain each row; if deltas are too high, explain all of them again in float64.

        Logits of a million, for instance, leave float32 no digits for their softmax. Only the second run shows whether
        float32 was the reason, so there is none if the policy is to ignore deltas.

        Parameters
        ----------
        baselines : sequence of torch.Tensor, each of shape (rows, baselines, ...)
            For each input.
        function : callable
            Returns attributions, given multipliers, inputs and baselines.

        Returns
        -------
        ComparisonResult
            In the dtype that the model computes in, on the device of the inputs.
        """
        found, error = None, None
        try:
            found = self._explain(baselines, function, None)
        except (ConvergenceError, UnsupportedOperation) as first_error:
            error = first_error.with_traceback(None)
        # Outside the handler, where the memory of the first run is free again.
        if found is None or (self.policy != "ignore" and found.check.count_high()):
            found = self._explain_in_float64(baselines, function) or found
        if found is not None:
            return found
        assert error is not None
        try:
            raise error
        finally:
            del error  # or it would refer to itself through this frame, and keep the model alive

    def differences(self, baselines: Sequence[Tensor]) -> Tensor:
        """Return the outputs of the rows minus the outputs of their baselines.

        Parameters
        ----------
        baselines : sequence of torch.Tensor, each of shape (rows, ...)
            For each input, in its shape.

        Returns
        -------
        torch.Tensor, shape (rows,)
            On the device of the inputs.
        """
        explainer = self._explainer()

        def subtract(first: int, last: int) -> Tensor:
            own = explainer.compute_outputs(self.inputs, first, last)
            return own - explainer.compute_outputs(baselines, first, last)

        explainer.targets.without_constants("compute_convergence_delta")

        with hold_precision(self.precision, explainer.device), explainer.borrow_model(None):
            found = [one for one, _ in self.size.parts(0, len(self.inputs[0]), subtract)]
        return torch.cat(found).squeeze(1)

    def _explain_in_float64(
        self, baselines: Sequence[Tensor], function: AttributionFunction
    ) -> ComparisonResult | None:
        """Return the results of float64, as float32; None if the model is in float64 already, or does not run in it."""
        device = self.inputs[0].device.type
        in_float64 = floating_dtype(self.model, self.inputs[0]) == torch.float64
        if in_float64 or not has_float64(self.inputs[0].device) or torch.is_autocast_enabled(device):
            return None
        try:
            found = self._explain(baselines, function, torch.float64)
        # A model may create tensors in float32 itself, or need more memory than is left.
        except (RuntimeError, TypeError):
            return None
        return ComparisonResult(tuple(one.float() for one in found.attributions), found.deltas.float(), found.check)

    def _explainer(self) -> Explainer:
        targets = Targets(self.target, len(self.inputs[0]))
        return Explainer(self.model, self.inputs, self.args, targets, self.size)

    def _explain(
        self, baselines: Sequence[Tensor], function: AttributionFunction, dtype: torch.dtype | None
    ) -> ComparisonResult:
        """Explain all rows, in `dtype` or in the model's own."""
        explainer, check = self._explainer(), ConvergenceCheck(self.threshold, self.policy)
        parts: list[list[Tensor]] = []
        deltas: list[Tensor] = []
        inputs, done = [one.detach().cpu() for one in self.inputs], 0
        ranges = explainer.batches(baselines[0].shape[1])
        pairs = (Pairs(first, last, [one[first:last] for one in baselines]) for first, last in ranges)
        with hold_precision(self.precision, explainer.device), explainer.borrow_model(dtype, self.overrides):
            for one in explainer.explain(pairs, _keep_pairs):
                block, values, k = one.block, one.values, len(inputs)
                # The results are returned in float32, so deltas below its digits do not count.
                check.add(in_float32(block) if dtype == torch.float64 else block)
                rows = slice(done, done := done + len(block.deltas))
                parts.append(_attributions(values[:k], values[k:], [one[rows] for one in inputs], function))
                deltas.append(block.deltas.flatten())
        device = self.inputs[0].device
        attributions = tuple(torch.cat(some).to(device) for some in zip(*parts, strict=True))
        return ComparisonResult(attributions, torch.cat(deltas).to(device), check)


def in_float32(block: Block) -> Block:
    """Return the outputs and deltas of a block in float32."""
    return Block((), (), block.deltas.float(), block.outputs.float(), block.baselines.float())


def _keep_pairs(block: Block) -> tuple[Tensor, ...]:
    """Return the multipliers and the references of each input, in full."""
    return *block.multipliers, *block.references


def _attributions(
    multipliers: Sequence[Tensor], references: Sequence[Tensor], inputs: Sequence[Tensor], function: AttributionFunction
) -> list[Tensor]:
    """Return the attributions of each input, the mean over its baselines."""
    n = references[0].shape[1]
    m = tuple(one.flatten(0, 2) for one in multipliers)
    r = tuple(one.flatten(0, 1) for one in references)
    x = tuple(one.to(a.dtype).repeat_interleave(n, dim=0) for one, a in zip(inputs, r, strict=True))
    return [one.reshape(-1, n, *one.shape[1:]).mean(dim=1) for one in function(m, x, r)]
