"""Recurrent networks and their cells: layers, directions, projections and packed sequences.

A layer in one direction whose weights are fixed is one operation with a rule of its own (``recurrence.py``), and so
are the steps of a packed sequence in which no row ends. A cell is another (``cells.py``). Where weights depend on the
input, gates are written step by step in operations that have rules. Both ways give the same multipliers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Function
from seqlight.attribution.rules.cells import next_states
from seqlight.attribution.rules.decompositions import dropout
from seqlight.attribution.rules.recurrence import KINDS, recur
from seqlight.attribution.rules.recurrent_arguments import is_packed
from seqlight.attribution.rules.recurrent_weights import Weights

States = tuple[Tensor, ...]


def lstm(input: Tensor, *more: Any, **options: Any) -> tuple[Tensor, ...]:
    """Return outputs, last states and last cell states, as ``torch.lstm`` does, for a tensor or a packed sequence."""
    return _network("lstm", input, *more, **options)


def gru(input: Tensor, *more: Any, **options: Any) -> tuple[Tensor, ...]:
    """Return outputs and last states, as ``torch.gru`` does, for a tensor or a packed sequence."""
    return _network("gru", input, *more, **options)


def rnn_tanh(input: Tensor, *more: Any, **options: Any) -> tuple[Tensor, ...]:
    """Return outputs and last states, as ``torch.rnn_tanh`` does, for a tensor or a packed sequence."""
    return _network("rnn_tanh", input, *more, **options)


def rnn_relu(input: Tensor, *more: Any, **options: Any) -> tuple[Tensor, ...]:
    """Return outputs and last states, as ``torch.rnn_relu`` does, for a tensor or a packed sequence."""
    return _network("rnn_relu", input, *more, **options)


def lstm_cell(
    input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
) -> tuple[Tensor, Tensor]:
    """Return the next state and the next cell state."""
    state, cell = _cell("lstm", input, tuple(hx), w_ih, w_hh, b_ih, b_hh)
    return state, cell


def gru_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """Return the next state."""
    return _cell("gru", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_tanh_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """Return the next state."""
    return _cell("rnn_tanh", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None) -> Tensor:
    """Return the next state."""
    return _cell("rnn_relu", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


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


def _cell(kind: str, x: Tensor, states: States, *weights: Any) -> States:
    """Return the next states of a cell, by its gates."""
    of = Weights(*weights)
    return _STEPS[kind](F.linear(x, of.w_ih, of.b_ih), states, of.w_hh, of.b_hh)


def fused_cell(kind: str) -> Function:
    """Return a function from the arguments of a cell to ``next_states`` and its own; None if weights depend, too."""

    def fused(
        input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any = None, b_hh: Any = None
    ) -> tuple[Function, tuple[Any, ...]] | None:
        states = tuple(hx) if kind == "lstm" else (hx,)
        is_one = input.requires_grad and input.ndim == 2
        if not (is_one and _is_one_operation(kind, input, states, Weights(w_ih, w_hh, b_ih, b_hh).given)):
            return None
        return next_states, (input, kind, states[0], *(states[1:] or (None,)), w_ih, w_hh, b_ih, b_hh)

    return fused


def _network(
    kind: str, input: Tensor, *more: Any, are_fixed: bool | None = None, known: Sequence[Tensor] | None = None
) -> tuple[Tensor, ...]:
    if is_packed(*more):  # batch sizes come before the first states
        batch_sizes, hx, parameters, *options = more
        lengths = batch_sizes.tolist()
        return _layers(kind, input, hx, parameters, lengths, *options, are_fixed=are_fixed)
    hx, parameters, *options, batch_first = more
    if known is not None:
        y, *last = known
        known = (y.transpose(0, 1) if batch_first else y, *last)
    x = input.transpose(0, 1) if batch_first else input
    y, *last = _layers(kind, x, hx, parameters, None, *options, are_fixed=are_fixed, known=known)
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
    *,
    are_fixed: bool | None,
    known: Sequence[Tensor] | None = None,
) -> tuple[Tensor, ...]:
    """Return outputs and last states; `x` has steps first, or holds those of `lengths` rows one after the other."""
    states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
    directions = 2 if bidirectional else 1
    size = len(parameters) // (directions * num_layers)
    last = list[States]()
    for layer in range(num_layers):
        own = slice(directions * layer, directions * (layer + 1))
        of = [Weights.of(parameters[size * k : size * (k + 1)]) for k in range(own.start, own.stop)]
        first = tuple(one[own] for one in states)
        is_one = x.requires_grad and _is_one_operation(kind, x, first, [w for one in of for w in one.given], are_fixed)
        if is_one and lengths is None:
            given = [w for one in of for w in one.given]
            x, *final = recur(x, kind, first, given, known if num_layers == 1 else None)
        else:
            x, *final = _each_way(kind, x, first, of, lengths, is_one)
        last.append(tuple(final))
        x = x if layer == num_layers - 1 else dropout(x, drop, train)
    return x, *(last[0] if num_layers == 1 else map(torch.cat, zip(*last, strict=True)))


def _each_way(
    kind: str, x: Tensor, states: States, weights: Sequence[Weights], lengths: list[int] | None, is_one: bool
) -> tuple[Tensor, ...]:
    """Return the outputs of one layer, of one direction after the other, in the order of time, and its last states."""
    ways, last = list[Tensor](), list[States]()
    for k, of in enumerate(weights):
        first, backwards = tuple(one[k] for one in states), k == 1
        if is_one and lengths is not None:
            y, *final = _packed_way(kind, x, first, of, lengths, backwards)
        else:
            y, *final = _one_way(kind, x, first, of, lengths, backwards)
        ways.append(y)
        last.append(tuple(final))
    return torch.cat(ways, dim=-1) if len(ways) > 1 else ways[0], *(
        torch.stack(each) for each in zip(*last, strict=True)
    )


def _one_way(
    kind: str, x: Tensor, states: States, weights: Weights, lengths: list[int] | None, backwards: bool
) -> tuple[Tensor, ...]:
    """Return the outputs of one layer in one direction, in the order of time, and the last states of each row."""
    projected = F.linear(x, weights.w_ih, weights.b_ih)
    steps = list(projected.unbind(0) if lengths is None else torch.split(projected, lengths))
    more = (weights.w_hh, weights.b_hh) if weights.w_hr is None else (weights.w_hh, weights.b_hh, weights.w_hr)
    outputs, states = _walk(kind, steps[::-1] if backwards else steps, states, more)
    outputs = outputs[::-1] if backwards else outputs
    return torch.stack(outputs) if lengths is None else torch.cat(outputs), *states


def _packed_way(
    kind: str, x: Tensor, states: States, weights: Weights, lengths: list[int], backwards: bool
) -> tuple[Tensor, ...]:
    """Return what :func:`_one_way` does, for the steps of `lengths` rows each, those of equal length at a time."""
    runs = [(rows, len(list(steps))) for rows, steps in groupby(lengths)]
    parts = list(zip(runs, torch.split(x, [rows * steps for rows, steps in runs]), strict=True))
    outputs = list[Tensor]()
    for (rows, steps), one in reversed(parts) if backwards else parts:
        part = one.view(steps, rows, one.shape[1])
        first = tuple(state[None, :rows] for state in states)
        y, *new = recur(part.flip(0) if backwards else part, kind, first, weights.given)
        outputs.append((y.flip(0) if backwards else y).flatten(0, 1))
        states = _with_rest(tuple(one[0] for one in new), states)
    return torch.cat(outputs[::-1] if backwards else outputs), *states


def _with_rest(new: States, states: States) -> States:
    """Return new states of the first rows, and those that there are of all others."""
    n = len(new[0])
    return tuple(torch.cat([a, b[n:]]) for a, b in zip(new, states, strict=True)) if n < len(states[0]) else new


def _walk(kind: str, steps: Sequence[Tensor], states: States, more: tuple[Any, ...]) -> tuple[list[Tensor], States]:
    """Return the outputs of all steps, and the last states, from what the input adds to the gates of each step."""
    outputs = list[Tensor]()
    for one in steps:
        # Rows of a packed sequence end at different times: a step has only the first rows, those that have not ended.
        n = len(one)
        new = _STEPS[kind](one, tuple(state[:n] for state in states), *more)
        states = _with_rest(new, states)
        outputs.append(new[0])
    return outputs, states


def cell_by_gates(x: Tensor, kind: str, state: Tensor, cell: Tensor | None, *weights: Any) -> Any:
    """Return what :func:`~seqlight.attribution.rules.cells.next_states` does, in operations that have rules."""
    of = Weights(*weights)
    states = (state,) if cell is None else (state, cell)
    found = _STEPS[kind](F.linear(x, of.w_ih, of.b_ih), states, of.w_hh, of.b_hh)
    return found[0] if cell is None else found


def _is_one_operation(
    kind: str, x: Tensor, states: States, weights: Sequence[Tensor], are_fixed: bool | None = None
) -> bool:
    return (
        kind in KINDS
        and x.dtype in (torch.float32, torch.float64)
        and all(one.dtype == x.dtype for one in (*states, *weights))
        and not (any(one.requires_grad for one in weights) if are_fixed is None else not are_fixed)
        and x.shape[0] > 0
        and not torch.is_autocast_enabled(x.device.type)
    )
