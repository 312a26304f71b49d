"""Convergence: whether attributions sum to the differences of outputs, and what to report where they do not."""

from __future__ import annotations

import math
import warnings
from array import array
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from seqlight.attribution.contributions import Block, Pairs
from seqlight.attribution.ensemble_explainer import AnyExplainer, make_explainer
from seqlight.attribution.reductions import keep_multipliers
from seqlight.errors import ConvergenceError, ConvergenceWarning, InputError
from seqlight.prediction.batch_size import BatchSize

# Beyond this share of the mean output difference a delta is too high, however small it is.
LARGEST_RELATIVE_DELTA = 0.01
# The default threshold of the methods.
WARNING_THRESHOLD = 0.001
# A delta is rounding if float64 leaves at most this share of it.
LARGEST_FLOAT64_SHARE = 0.01

DeltaPolicy: TypeAlias = Literal["raise", "warn", "ignore"]


class ConvergenceCheck:
    """Collects the deltas of one call, and warns or raises once if they are too high.

    Parameters
    ----------
    threshold : float
        Larger deltas are too high; so are deltas whose mean over references is too large a share of the output
        difference. At the default, what rounding may do to outputs of that size does not count.
    policy : "raise", "warn" or "ignore"
        What to do about it.

    Attributes
    ----------
    worst_pair : tuple of int, int and tuple of torch.Tensor
        The sequence and the target with the largest delta, and the reference it has that delta with, for each input.
    """

    def __init__(self, threshold: float, policy: DeltaPolicy = "warn") -> None:
        if policy not in get_args(DeltaPolicy):
            raise InputError(f"deltas is {policy!r}: expected 'raise', 'warn' or 'ignore'.")
        self.threshold, self.policy = threshold, policy
        # For each sequence and target the largest delta, the mean delta and the mean output difference. In one piece
        # of memory: small tensors that live as long as the call would fragment the memory of large ones.
        self._statistics = array("d")
        self._targets, self._sequences, self._not_finite = 1, 0, 0
        self._worst, self._largest, self._difference = Tensor(), 0.0, 0.0
        self.worst_pair: tuple[int, int, tuple[Tensor, ...]] = 0, 0, ()

    def add(self, block: Block) -> None:
        """Add the deltas of a block; ConvergenceError if the policy is to raise and one is above the threshold."""
        deltas = block.absolute_deltas.nan_to_num(float("inf"))  # NaN is the worst of all
        if self.threshold == WARNING_THRESHOLD:  # a threshold that the caller chose is used as it is
            deltas = (deltas - block.rounding).clamp_min(0)
        differences, largest = block.differences.abs().mean(dim=2), deltas.amax(dim=2)
        statistics = torch.stack([largest, deltas.mean(dim=2), differences], dim=1).flatten().tolist()
        self._statistics.extend(statistics)
        before, self._targets, self._sequences = self._sequences, largest.shape[1], self._sequences + len(largest)
        if not math.isfinite(sum(statistics)):  # else every output is finite, as its differences are
            self._not_finite += int((~block.outputs.isfinite()).any(dim=1).sum())
        each = largest.flatten().tolist()
        if not self._worst.numel() or max(each) > self._largest:
            worst = each.index(max(each))
            self._largest, self._difference = each[worst], float(differences.flatten()[worst])
            self._worst = block.absolute_deltas.flatten(0, 1)[worst]
            i, target = divmod(worst, self._targets)
            k = int(deltas[i, target].argmax())
            self.worst_pair = before + i, target, tuple(one[i, k].clone() for one in block.references)
        if self.policy == "raise" and not bool((deltas <= self.threshold).all()):
            raise ConvergenceError(self._message())

    def warn_if_incomplete(
        self,
        explainer: AnyExplainer | None = None,
        overrides: Mapping[Any, Callable[..., Any]] | None = None,
        stacklevel: int = 3,
    ) -> None:
        """Warn, or raise ConvergenceError, if any deltas were too high.

        Parameters
        ----------
        explainer : Explainer, optional
            The explainer that made the blocks, after it returned its model: the message then says whether the worst
            pair has its delta in float64 too.
        overrides : mapping, optional
            The user's own rules.
        stacklevel : int
            As in ``warnings.warn``: with 3 the warning names the line of the caller's caller.
        """
        if self.policy == "ignore" or not self.count_high():
            return
        exact = None
        if explainer is not None and not self._not_finite and self._worst.dtype != torch.float64:
            exact = delta_in_float64(explainer, self.worst_pair, overrides)
        if self.policy == "raise":
            raise ConvergenceError(self._message(exact))
        warnings.warn(self._message(exact), ConvergenceWarning, stacklevel=stacklevel)

    def count_high(self) -> int:
        """Return how many sequences have deltas that are too high."""
        statistics = torch.frombuffer(self._statistics, dtype=torch.float64)
        largest, mean, differences = statistics.view(self._sequences, 3, self._targets).unbind(dim=1)
        # The mean over all sequences of the call, so that the batch size does not change the verdict.
        limit = LARGEST_RELATIVE_DELTA * differences.mean(dim=0)
        low = (largest <= self.threshold) & (mean <= limit)
        return int((~low).any(dim=1).sum())

    def _message(self, exact: float | None = None) -> str:
        if self._not_finite:
            return (
                f"The model's output is not finite for {self._not_finite} of {self._sequences} sequences, and neither "
                "are the attributions: look for NaN in its weights, and for a logarithm of 0 or a division by 0."
            )
        message = (
            f"Convergence deltas too high: {self._worst} in the worst of {self.count_high()} of {self._sequences} "
            f"sequences, whose output differs from those of its references by {self._difference:.3g} on average. "
        )
        if exact is not None and exact <= LARGEST_FLOAT64_SHARE * self._largest:
            return (
                f"{message}This is rounding error: large numbers nearly cancel in the model, and in float64 the worst "
                f"delta is only {exact:.2g}. Pass dtype='float64'."
            )
        reason = (
            "If dtype='float64' does not help, "
            if exact is None
            else "This is not rounding error (float64 has it too): "
        )
        return (
            f"{message}{reason}the model depends on its input in a way that no gradient sees; "
            "seqlight.audit(model, X) shows where."
        )


def delta_in_float64(
    explainer: AnyExplainer,
    pair: tuple[int, int, tuple[Tensor, ...]],
    overrides: Mapping[Any, Callable[..., Any]] | None = None,
) -> float | None:
    """Return the absolute delta of one pair in float64, or None where that cannot be computed.

    A large last layer may add numbers that nearly cancel. A model in float32 then has too few digits for its own output
    difference, and the attributions do not show it, because their sum is off by as much.

    Parameters
    ----------
    explainer : Explainer
        The explainer that found the delta, after it returned its model.
    pair : tuple of int, int and tuple of torch.Tensor
        As in :attr:`ConvergenceCheck.worst_pair`.
    overrides : mapping, optional
        The user's own rules.
    """
    i, target, references = pair
    try:
        size = BatchSize(1, explainer.device)
        again = make_explainer(explainer.model, explainer.inputs, explainer.args, explainer.targets, size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with again.borrow_model(torch.float64, overrides):
                pairs = Pairs(i, i + 1, [one[None, None] for one in references])
                (found,) = again.explain([pairs], keep_multipliers)
    # No float64 on this device, too little memory, ...: this is to explain a warning, not to replace it by an error.
    except Exception:
        return None
    return float(found.block.absolute_deltas[0, target, 0])
