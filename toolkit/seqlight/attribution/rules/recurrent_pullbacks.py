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
from seqlight.attribution.rules.lstm_multiplier import LSTMMultiplierFunction
from seqlight.attribution.rules.lstm_trajectory import LSTMTrajectoryFunction
from seqlight.attribution.rules.pullbacks import Observed
from seqlight.attribution.rules.rnn_multiplier import RNNMultiplierFunction
from seqlight.attribution.rules.steps import require_row_partners


def observe_layer(call: Call) -> Observed:
    """Make a call of :func:`~seqlight.attribution.rules.recurrence.recur`, and keep what its multiplier is made of."""
    (x, kind, states, weights, *known), _ = call.arguments()
    directions = len(states[0])
    of = StackedWeights.of(weights, directions)
    ways = torch.stack(each_way(x, directions))
    if kind == "lstm" and not any(known) and _is_compiled(x, of):
        y, last_cell, gates = LSTMTrajectoryFunction.apply(of.w_ih, of.w_hh, of.bias, ways, *states)
        outputs: tuple[Tensor, ...] = join_ways(y), y[:, -1].clone(), last_cell
        parts: tuple[Tensor, ...] = gates, states[1]
    else:
        outputs = call(*call.tensors)
        after = torch.stack(part_ways(outputs[0], directions))
        before = torch.cat([states[0].unsqueeze(1), after[:, :-1]], dim=1)
        parts = _KINDS[kind].parts(of, ways, before, *states[1:])
        if not any(known):  # a copy, because a model may write to it, and some kernels need their outputs to go back
            outputs = outputs[0].clone(), *outputs[1:]
    return Observed(call, call.tensors, outputs, len(outputs), (of.w_ih, of.w_hh, of.w_hr, *parts))


def _is_compiled(x: Tensor, of: StackedWeights) -> bool:
    """Return whether the loops follow an LSTM through its steps."""
    kernel = kernel_for("lstm.lstm_trajectory", x.device.type, x.dtype)
    return kernel is not None and of.w_hr is None and x.numel() > 0


def layer(sequence: Observed, reference: Observed, grads: Sequence[Tensor | None]) -> list[Tensor]:
    """Return the gradients at those of input and first states of a layer that depend on the input."""
    (x1, kind, *_), (x0, *_) = sequence.call.arguments()[0], reference.call.arguments()[0]
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


class _Kind(NamedTuple):
    """What follows from weights, inputs and states of one kind, and what goes back through that."""

    parts: Callable[..., tuple[Tensor, ...]]
    pull: Callable[..., tuple[Tensor, ...]]


_KINDS = {
    "lstm": _Kind(_gates, _lstm),
    "gru": _Kind(_gru_parts, _gru),
    "rnn_tanh": _Kind(_gates, partial(_rnn, False)),
    "rnn_relu": _Kind(_gates, partial(_rnn, True)),
}
