"""Recurrent networks and their cells: layers, directions, projections and packed sequences.

A layer in one direction whose weights are fixed is one operation with a rule of its own (``recurrence.py``). Packed
sequences, projections, networks of relu and cells are written step by step in operations that have rules. Both ways
give the same multipliers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.rules.decompositions import dropout
from seqlight.attribution.rules.recurrence import KINDS, recur

States = tuple[Tensor, ...]


def lstm(input: Tensor, *more: Any) -> tuple[Tensor, ...]:
    """Return outputs, last states and last cell states, as ``torch.lstm`` does, for a tensor or a packed sequence."""
    return _network("lstm", input, *more)


def gru(input: Tensor, *more: Any) -> tuple[Tensor, ...]:
    """Return outputs and last states, as ``torch.gru`` does, for a tensor or a packed sequence."""
    return _network("gru", input, *more)


def rnn_tanh(input: Tensor, *more: Any) -> tuple[Tensor, ...]:
    """Return outputs and last states, as ``torch.rnn_tanh`` does, for a tensor or a packed sequence."""
    return _network("rnn_tanh", input, *more)


def rnn_relu(input: Tensor, *more: Any) -> tuple[Tensor, ...]:
    """Return outputs and last states, as ``torch.rnn_relu`` does, for a tensor or a packed sequence."""
    return _network("rnn_relu", input, *more)


def lstm_cell(
    input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> tuple[Tensor, Tensor]:
    """Return the next state and the next cell state."""
    state, cell = _lstm_step(F.linear(input, w_ih, b_ih), tuple(hx), w_hh, b_hh)
    return state, cell


def gru_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """Return the next state."""
    return _gru_step(F.linear(input, w_ih, b_ih), (hx,), w_hh, b_hh)[0]


def rnn_tanh_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """Return the next state."""
    return _rnn_step(torch.tanh, F.linear(input, w_ih, b_ih), (hx,), w_hh, b_hh)[0]


def rnn_relu_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """Return the next state."""
    return _rnn_step(torch.relu, F.linear(input, w_ih, b_ih), (hx,), w_hh, b_hh)[0]


def _lstm_step(projected: Tensor, states: States, w_hh: Tensor, b_hh: Any = None, w_hr: Any = None) -> States:
    """Return the next states, where `projected` is what the input adds to the gates."""
    i, f, g, o = (projected + F.linear(states[0], w_hh, b_hh)).chunk(4, dim=-1)
    cell = torch.sigmoid(f) * states[1] + torch.sigmoid(i) * torch.tanh(g)
    state = torch.sigmoid(o) * torch.tanh(cell)
    return state if w_hr is None else F.linear(state, w_hr), cell


def _gru_step(projected: Tensor, states: States, w_hh: Tensor, b_hh: Any = None) -> States:
    x_reset, x_update, x_new = projected.chunk(3, dim=-1)
    h_reset, h_update, h_new = F.linear(states[0], w_hh, b_hh).chunk(3, dim=-1)
    new = torch.tanh(x_new + torch.sigmoid(x_reset + h_reset) * h_new)
    return (new + torch.sigmoid(x_update + h_update) * (states[0] - new),)


def _rnn_step(activation: Any, projected: Tensor, states: States, w_hh: Tensor, b_hh: Any = None) -> States:
    return (activation(projected + F.linear(states[0], w_hh, b_hh)),)


_STEPS: dict[str, Callable[..., States]] = {
    "lstm": _lstm_step,
    "gru": _gru_step,
    "rnn_tanh": partial(_rnn_step, torch.tanh),
    "rnn_relu": partial(_rnn_step, torch.relu),
}


class _Weights(NamedTuple):
    """What one layer has in one direction."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    w_hr: Tensor | None = None


def _network(kind: str, input: Tensor, *more: Any) -> tuple[Tensor, ...]:
    if isinstance(more[2], list | tuple):  # a packed sequence: batch sizes come before the first states
        batch_sizes, hx, parameters, *options = more
        lengths = batch_sizes.tolist()
        return _layers(kind, input, hx, parameters, lengths, *options)
    hx, parameters, *options, batch_first = more
    y, *last = _layers(kind, input.transpose(0, 1) if batch_first else input, hx, parameters, None, *options)
    return y.transpose(0, 1) if batch_first else y, *last


def _layers(
    kind: str,
    x: Tensor,
    hx: Any,
    parameters: Sequence[Tensor],
    lengths: list[int] | None,
    has_biases: bool,
    num_layers: int,
    drop: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Tensor, ...]:
    """Return outputs and last states; `x` has steps first, or holds those of `lengths` rows one after the other."""
    states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
    directions = 2 if bidirectional else 1
    size = len(parameters) // (directions * num_layers)
    last = list[States]()
    for layer in range(num_layers):
        ways = list[Tensor]()
        for k in range(directions * layer, directions * (layer + 1)):
            w_ih, w_hh, *others = parameters[size * k : size * (k + 1)]
            biases, others = (others[:2], others[2:]) if has_biases else ([None, None], others)
            weights = _Weights(w_ih, w_hh, *biases, *others)
            y, *final = _one_way(kind, x, tuple(one[k] for one in states), weights, lengths, k % directions == 1)
            ways.append(y)
            last.append(tuple(final))
        x = torch.cat(ways, dim=-1) if bidirectional else ways[0]
        x = x if layer == num_layers - 1 else dropout(x, drop, train)
    return x, *(torch.stack(each) for each in zip(*last, strict=True))


def _one_way(
    kind: str, x: Tensor, states: States, weights: _Weights, lengths: list[int] | None, backwards: bool
) -> tuple[Tensor, ...]:
    """Return the outputs of one layer in one direction, in the order of time, and the last states of each row."""
    if lengths is None and x.requires_grad and _is_one_operation(kind, x, states, weights):
        found = recur(x.flip(0) if backwards else x, kind, states, [one for one in weights if one is not None])
        return found[0].flip(0) if backwards else found[0], *found[1:]
    projected = F.linear(x, weights.w_ih, weights.b_ih)
    steps = list(projected.unbind(0) if lengths is None else torch.split(projected, lengths))
    more = (weights.w_hh, weights.b_hh) if weights.w_hr is None else (weights.w_hh, weights.b_hh, weights.w_hr)
    outputs, states = _walk(kind, steps[::-1] if backwards else steps, states, more)
    outputs = outputs[::-1] if backwards else outputs
    return torch.stack(outputs) if lengths is None else torch.cat(outputs), *states


def _walk(kind: str, steps: Sequence[Tensor], states: States, more: tuple[Any, ...]) -> tuple[list[Tensor], States]:
    """Return the outputs of all steps, and the last states, from what the input adds to the gates of each step."""
    outputs = list[Tensor]()
    for one in steps:
        # Rows of a packed sequence end at different times: a step has only the first rows, those that have not ended.
        n = len(one)
        new = _STEPS[kind](one, tuple(state[:n] for state in states), *more)
        ended = n < len(states[0])
        states = tuple(torch.cat([a, b[n:]]) for a, b in zip(new, states, strict=True)) if ended else new
        outputs.append(new[0])
    return outputs, states


def step_by_step(x: Tensor, kind: str, states: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return what :func:`~seqlight.attribution.rules.recurrence.recur` does, in operations that have rules."""
    of = _Weights(*weights)
    outputs, last = _walk(kind, F.linear(x, of.w_ih, of.b_ih).unbind(0), tuple(states), (of.w_hh, of.b_hh))
    return torch.stack(outputs), *last


def _is_one_operation(kind: str, x: Tensor, states: States, weights: _Weights) -> bool:
    fixed = [one for one in weights if one is not None]
    return (
        kind in KINDS
        and weights.w_hr is None
        and x.dtype in (torch.float32, torch.float64)
        and all(one.dtype == x.dtype for one in (*states, *fixed))
        and not any(one.requires_grad for one in fixed)
        and x.shape[0] > 0
        and not torch.is_autocast_enabled(x.device.type)
    )
