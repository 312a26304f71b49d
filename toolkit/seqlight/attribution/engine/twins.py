"""Twins: tensors with a gradient, each for one that depends on the input without one.

A model hides a dependence from autograd where it detaches a tensor, switches gradients off for a while, or compares.
What it computes there depends on the input nevertheless. The twin of such a tensor is found by making the calls that
led to it once more, with gradients, and only when it meets a tensor that has one: most never do. The values stay those
of the model, and the twin only says what depends on what. So where it is wrong, sums are not complete, which is
reported.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from seqlight.attribution.calls.call import Call, RuleFunction
from seqlight.attribution.calls.retry import Overwritten
from seqlight.attribution.engine.known_tensors import KnownTensors
from seqlight.errors import SeqlightError
from seqlight.prediction.device_memory import is_out_of_memory

_numbers = itertools.count()
# By which a call that is made once more says that it cannot be made of numbers with a gradient.
_FAILURES = (RuntimeError, TypeError, ValueError, IndexError)


class RevealFunction(RuleFunction):
    """The values of a tensor, with the gradient of its twin."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, twin: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a copy of the values."""
        ctx.dtype = twin.dtype
        return hidden.detach().to(dtype, copy=True)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the twin."""
        return None, grads[0].to(ctx.dtype), None


class Replay:
    """A call that is made once more, of twins.

    Parameters
    ----------
    call : Call, optional
        The call, of which those tensors count as dependent that `operands` stand for; None if the result is known.
    operands : sequence of Twin
    results : list of torch.Tensor or None, optional
        Flat, by their place among what the call returns.
    """

    def __init__(self, call: Call | None, operands: Sequence[Twin] = (), results: list[Any] | None = None) -> None:
        self.call, self.operands, self.number = call, operands, next(_numbers)
        self.results, self.versions = results, [one._version for one in results or ()]

    def make(self, run: Callable[[Call, Sequence[Tensor]], Any]) -> None:
        """Make the call with `run`; its results stay empty if that fails."""
        assert self.call is not None
        values = [one.value for one in self.operands]
        known = [one for one in values if one is not None]
        self.results = []
        if len(known) < len(values):
            return
        try:
            self.results = tree_flatten(run(self.call, known))[0]
        except _FAILURES as error:
            if isinstance(error, SeqlightError) or is_out_of_memory(error):
                raise
        self.call, self.operands = None, ()


class Twin:
    """One of the results of a replay.

    Parameters
    ----------
    replay : Replay
    at : int
        Its place among the results.
    compared : frozenset of int, optional
        For a mask, the ids of the tensors of its own shape that it compares with constants; None if it is none.
    """

    def __init__(self, replay: Replay, at: int = 0, compared: frozenset[int] | None = None) -> None:
        self.replay, self.at, self.compared = replay, at, compared

    @classmethod
    def of(cls, live: Tensor, of: int) -> Twin:
        """Return the twin that is a tensor with a gradient itself, or a copy of the tensor with the id `of`."""
        return cls(Replay(None, results=[live]), 0, frozenset({of}))

    @property
    def value(self) -> Tensor | None:
        """The tensor with a gradient, once it is known; None if there is none. Overwritten if it was written to."""
        found = self.replay.results
        if not found or self.at >= len(found) or not isinstance(found[self.at], Tensor):
            return None
        if self.replay.versions and found[self.at]._version != self.replay.versions[self.at]:
            raise Overwritten
        one: Tensor = found[self.at]
        return one if one.dtype.is_floating_point and one.requires_grad else None

    def resolve(self, run: Callable[[Call, Sequence[Tensor]], Any]) -> Tensor | None:
        """Return the tensor with a gradient, made with `run`; None if there is none."""
        waiting, needed = [self.replay], dict[int, Replay]()
        while waiting:  # no recursion: what ran without gradients may be long
            one = waiting.pop()
            if one.results is None and one.number not in needed:
                needed[one.number] = one
                waiting.extend(operand.replay for operand in one.operands)
        for number in sorted(needed):
            needed[number].make(run)
        return self.value


class Twins(KnownTensors[Twin]):
    """The twins of tensors."""


def reveal(hidden: Tensor, twin: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return the values of a tensor with the gradient of its twin; None if that does not have its shape.

    Parameters
    ----------
    hidden : torch.Tensor
    twin : torch.Tensor or None
    dtype : torch.dtype
        That of a tensor that it meets. What is no wider takes it, so that no digits of the gradient are lost.
    """
    if twin is None or twin.shape != hidden.shape:
        return None
    wider = torch.promote_types(hidden.dtype, dtype)
    found: Tensor = RevealFunction.apply(hidden, twin, dtype if wider == dtype else hidden.dtype)
    return found
