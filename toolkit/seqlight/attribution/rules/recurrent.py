"""Recurrent networks with relu, written step by step: they have too many kinks to be integrated numerically."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def rnn_relu(input: Tensor, *more: Any) -> tuple[Tensor, Tensor]:
    """Return outputs and last states, as ``torch.rnn_relu`` does, for a tensor or a packed sequence."""
    if isinstance(more[1], Tensor):  # a packed sequence: batch sizes come before the first states
        batch_sizes, states, parameters, *rest = more
        return _layers(torch.cat, list(torch.split(input, batch_sizes.tolist())), states, parameters, *rest)
    states, parameters, *rest, batch_first = more
    steps = list(input.unbind(1 if batch_first else 0))

    def stack(outputs: list[Tensor]) -> Tensor:
        return torch.stack(outputs, dim=1 if batch_first else 0)

    return _layers(stack, steps, states, parameters, *rest)


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """Return the next state."""
    return torch.relu(F.linear(input, w_ih, b_ih) + F.linear(hx, w_hh, b_hh))


def _layers(
    join: Callable[[list[Tensor]], Tensor],
    steps: list[Tensor],
    states: Tensor,
    parameters: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Tensor, Tensor]:
    directions, size = 2 if bidirectional else 1, 4 if has_biases else 2
    last = []
    for layer in range(num_layers):
        ways = []
        for k in range(directions * layer, directions * (layer + 1)):
            weights = parameters[size * k : size * (k + 1)]
            outputs, state = _one_way(steps, states[k], weights, backwards=k % directions == 1)
            ways.append(outputs)
            last.append(state)
        steps = [torch.cat(each, dim=-1) if len(each) > 1 else each[0] for each in zip(*ways, strict=True)]
    return join(steps), torch.stack(last)


def _one_way(
    steps: Sequence[Tensor], first: Tensor, weights: Sequence[Tensor], backwards: bool
) -> tuple[list[Tensor], Tensor]:
    """Return the outputs of all steps, in the order of time, and the last state of each row.

    Rows of a packed sequence end at different times: a step has only the first rows, those that have not ended.
    """
    state, outputs = first, []
    for x in reversed(steps) if backwards else steps:
        new = rnn_relu_cell(x, state[: len(x)], *weights)
        state = torch.cat([new, state[len(x) :]])
        outputs.append(new)
    return outputs[::-1] if backwards else outputs, state
