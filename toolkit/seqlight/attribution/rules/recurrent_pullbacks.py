"""What goes back through a layer of a recurrent network, as a differentiable function.

PyTorch computes outputs and last states, or a loss has them already. Gates follow from them in two products of matrices
for all steps, which autograd differentiates. Loops of our own return gates with the outputs. What goes back through the
steps is a node of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.directions import StackedWeights, each_way, join_ways, multiply, part_ways, sum_ways
from seqlight.attribution.rules.gru_multiplier import GRUMultiplierFunction
from seqlight.attribution.rules.gru_trajectory import GRUTrajectoryFunction
from seqlight.attribution.rules.lstm_multiplier import LSTMMultiplierFunction
from seqlight.attribution.rules.lstm_trajectory import LSTMTrajectoryFunction
from seqlight.attribution.rules.pullbacks import Observed
from seqlight.attribution.rules.recurrence import recur
from seqlight.attribution.rules.rnn_multiplier import RNNMultiplierFunction
from seqlight.attribution.rules.steps import require_row_partners


def observe_layer(call: Call) -> Observed:
    """Make a call of :func:`~seqlight.attribution.rules.recurrence.recur`, and keep what its multiplier is made of."""
    (x, kind, states, weights, *known), _ = call.arguments()
    directions = len(states[0])
    of = StackedWeights.of_layer(weights, directions)
    ways = torch.stack(each_way(x, directions))
    follow = _KINDS[kind].follow
    if follow is not None and not any(known) and _are_followed(kind, x, of):
        outputs, parts = follow(of, ways, *states)
    else:
        outputs = recur(x, kind, states, weights, *known)
        after = torch.stack(part_ways(outputs[0], directions))
        before = torch.cat([states[0].unsqueeze(1), after[:, :-1]], dim=1)
        parts = _KINDS[kind].parts(of, ways, before, *states[1:])
        if not any(known):  # a copy, because a model may write to it, and some kernels need their outputs to go back
            outputs = outputs[0].clone(), *outputs[1:]
    return Observed(call, call.tensors, outputs, len(outputs), (of.w_ih, of.w_hh, of.w_hr, *parts))


def _are_followed(kind: str, x: Tensor, of: StackedWeights) -> bool:
    """Return whether compiled loops follow a layer through its steps."""
    kernel = kernel_for(f"{kind}.{kind}_trajectory", x.device.type, x.dtype)
    return kernel is not None and of.w_hr is None and x.numel() > 0


def layer(sequence: Observed, reference: Observed, grads: Sequence[Tensor | None]) -> list[Tensor]:
    """Return the gradients at those of input and first states of a layer that depend on the input."""
    (x1, kind, *_), (x0, *_) = sequence.call.leaves, reference.call.leaves
    require_row_partners(x1, x0)
    given = [torch.zeros_like(y) if g is None else g for g, y in zip(grads, reference.results, strict=True)]
    w_ih, w_hh, w_hr, *own = reference.parts
    recorded = [repeat_like(one, its) for one, its in zip(sequence.parts[3:], own, strict=True)]
    arriving = torch.stack(part_ways(given[0], len(w_hh))), *given[1:]
    at_input, *at_states = _KINDS[kind].pull(w_hh, w_hr, arriving, recorded, own)
    found = {2 + i: one for i, one in enumerate(at_states)}  # the second leaf is the kind
    if 0 in reference.call.dependent:
        at_x = torch.bmm(at_input.flatten(1, 2), w_ih).view(*at_input.shape[:-1], -1)
        found[0] = sum_ways(at_x.unbind())
    return [found[leaf] for leaf in reference.call.dependent]


def _gates(of: StackedWeights, x: Tensor, before: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
    return of.gates(x, before), *states


def _gru_parts(of: StackedWeights, x: Tensor, before: Tensor) -> tuple[Tensor, ...]:
    return multiply(x, of.w_ih, of.b_ih), multiply(before, of.w_hh, of.b_hh), before


def _lstm(w_hh: Tensor, w_hr: Any, grads: Sequence[Tensor], recorded: Sequence[Tensor], own: Sequence[Tensor]) -> Any:
    return LSTMMultiplierFunction.apply(w_hh, w_hr, *grads, *recorded, *own)


def _gru(w_hh: Tensor, w_hr: Any, grads: Sequence[Tensor], recorded: Sequence[Tensor], own: Sequence[Tensor]) -> Any:
    return GRUMultiplierFunction.apply(w_hh, *grads, *recorded, *own)


def _rnn(
    is_relu: bool, w_hh: Tensor, w_hr: Any, grads: Sequence[Tensor], recorded: Sequence[Tensor], own: Sequence[Tensor]
) -> Any:
    return RNNMultiplierFunction.apply(is_relu, w_hh, *grads, *recorded, *own)


def _follow_lstm(of: StackedWeights, x: Tensor, state: Tensor, cell: Tensor) -> tuple[Any, tuple[Tensor, ...]]:
    y, last_cell, gates = LSTMTrajectoryFunction.apply(of.w_ih, of.w_hh, of.bias, x, state, cell)
    return (join_ways(y), y[:, -1].clone(), last_cell), (gates, cell)


def _follow_gru(of: StackedWeights, x: Tensor, state: Tensor) -> tuple[Any, tuple[Tensor, ...]]:
    by_input = multiply(x, of.w_ih, of.b_ih)
    bias = by_input.new_zeros(of.w_hh.shape[:2]) if of.b_hh is None else of.b_hh
    y, by_state = GRUTrajectoryFunction.apply(of.w_hh, bias, by_input, state)
    before = torch.cat([state.unsqueeze(1), y[:, :-1]], dim=1)
    return (join_ways(y), y[:, -1].clone()), (by_input, by_state, before)


class _Kind(NamedTuple):
    """What follows from weights, inputs and states of one kind, and what goes back through that.

    Attributes
    ----------
    parts : callable
        Returns what the multiplier is made of, from weights, inputs, and the states before all steps.
    pull : callable
        Returns the gradients at gates and first states.
    follow : callable, optional
        Returns the outputs with these parts, by compiled loops.
    """

    parts: Callable[..., tuple[Tensor, ...]]
    pull: Callable[..., tuple[Tensor, ...]]
    follow: Callable[..., tuple[Any, tuple[Tensor, ...]]] | None = None


_KINDS = {
    "lstm": _Kind(_gates, _lstm, _follow_lstm),
    "gru": _Kind(_gru_parts, _gru, _follow_gru),
    "rnn_tanh": _Kind(_gates, partial(_rnn, False)),
    "rnn_relu": _Kind(_gates, partial(_rnn, True)),
}
