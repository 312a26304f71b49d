"""What PyTorch's recurrent networks are called with: a tensor or a packed sequence, states, parameters and options."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from torch import Tensor

from seqlight.attribution.calls.call import Function
from seqlight.attribution.rules.operation_names import spellings

NETWORKS = frozenset("lstm gru rnn_tanh rnn_relu".split())


@cache
def networks() -> frozenset[Function]:
    """Return the functions of PyTorch that are networks."""
    return frozenset(function for name in NETWORKS for function in spellings(name))


def is_packed(*more: Any) -> bool:
    """Return whether the arguments behind the first are those of a packed sequence, batch sizes among them."""
    return isinstance(more[2], list | tuple)


def parameters_of(input: Tensor, *more: Any) -> Sequence[Tensor]:
    """Return the parameters among the arguments of a network."""
    found: Sequence[Tensor] = more[2] if is_packed(*more) else more[1]
    return found


def as_in_evaluation(input: Tensor, *more: Any) -> tuple[Any, ...]:
    """Return the arguments of a network in evaluation mode, if it has no dropout, without which it is the same."""
    at = 6 if is_packed(*more) else 5
    layers, drop = more[at - 2 : at]
    return (input, *more) if layers > 1 and drop else (input, *more[:at], False, *more[at + 1 :])
