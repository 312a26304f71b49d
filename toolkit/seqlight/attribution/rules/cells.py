"""The rule for the cells of recurrent networks, called step by step: LSTM, GRU, tanh and relu.

It has the multipliers of the gates written out, as those of whole layers have (``recurrence.py``). What goes back
through a step is found on the way forward, where all that it takes is at hand: a loop of cells makes so many calls that
each of them counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call, ObserveFunction
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.partners import align_partners
from seqlight.attribution.rules.elementwise import secant
from seqlight.attribution.rules.mean_jacobian import VJPFunction
from seqlight.attribution.rules.product import midpoint
from seqlight.attribution.rules.special_functions import relu_secant, sigmoid_slope, tanh_slope
from seqlight.attribution.rules.steps import by_gate

# From the gradients at the next states to those at input and states.
Pull = Callable[[Sequence[Tensor]], tuple[Tensor, ...]]


class Weights(NamedTuple):
    """The weights of a cell."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None

    def gates(self, x: Tensor, state: Tensor) -> Tensor:
        """Return the sum of what input and state add to the gates, before their activation functions."""
        return F.linear(x, self.w_ih, self.b_ih).add_(F.linear(state, self.w_hh, self.b_hh))


@as_operation
def next_states(x: Tensor, kind: str, state: Tensor, cell: Tensor | None, *weights: Tensor | None) -> Any:
    """Return the next state, and for an LSTM the next cell state.

    Parameters
    ----------
    x : torch.Tensor, shape (rows, features)
    kind : {"lstm", "gru", "rnn_tanh", "rnn_relu"}
    state : torch.Tensor, shape (rows, size)
    cell : torch.Tensor, shape (rows, size), optional
        The cell state of an LSTM.
    *weights : torch.Tensor or None
        For the input, for the state, and both biases.
    """
    return getattr(torch, f"{kind}_cell")(x, state if cell is None else (state, cell), *weights)


class Cell:
    """A call of :func:`next_states`, with weights that do not depend on the input."""

    backward: ClassVar[type[torch.autograd.Function]] = VJPFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep what the step computed, none of which a model can write to."""
        kept: list[Any] = []

        def compute(*_: Tensor) -> Any:
            kind, operands, weights = _read(call)
            found, parts = KINDS[kind][0](*operands, weights)
            kept.extend(one.clone() for one in parts)  # some are states, to which a model may write
            return found

        return ObserveFunction.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply by the mean Jacobian of the step."""
        pulls: list[Pull] = []

        def compute(*_: Tensor) -> Any:
            kind, operands, weights = _read(call)
            found, parts = KINDS[kind][0](*operands, weights)
            pulls.append(KINDS[kind][1](kept, parts, weights))
            return found

        # The leaf after the input is the kind.
        places = [max(at - 1, 0) for at in call.dependent]

        def vjp(grads: Sequence[Tensor]) -> list[Tensor]:
            found = pulls[0](grads)
            return [found[at] for at in places]

        return VJPFunction.apply(compute, vjp, *call.tensors)


def _read(call: Call) -> tuple[str, list[Tensor], Weights]:
    """Return the kind of a cell, its input and states, and its weights."""
    x, kind, state, cell, *weights = call.leaves
    return kind, [one.detach() for one in (x, state, cell) if one is not None], Weights(*weights)


def _lstm(x: Tensor, state: Tensor, cell: Tensor, weights: Weights) -> tuple[Any, list[Tensor]]:
    z = weights.gates(x, state)
    n = cell.shape[-1]
    y = torch.sigmoid(z)
    torch.tanh(z[:, 2 * n : 3 * n], out=y[:, 2 * n : 3 * n])
    i, f, g, o = by_gate(y, n).unbind(1)
    after = torch.addcmul(i * g, f, cell)
    t = torch.tanh(after)
    return (o * t, after), [z, y, cell, after, t]


def _pull_lstm(recorded: Sequence[Tensor], own: Sequence[Tensor], weights: Weights) -> Pull:
    (z1, y1, before1, after1, t1), (z0, y0, before0, after0, t0) = recorded, own
    n = before0.shape[-1]
    slope = sigmoid_slope(z1, y1)
    slope[:, 2 * n : 3 * n] = tanh_slope(z1[:, 2 * n : 3 * n], y1[:, 2 * n : 3 * n])
    k = by_gate(secant(z1, y1, slope, z0, y0), n)
    i, f, g, o = by_gate(midpoint(y1, y0), n).unbind(1)
    k[:, 0].mul_(g)
    k[:, 1].mul_(midpoint(before1, before0))
    k[:, 2].mul_(i)
    k[:, 3].mul_(midpoint(t1, t0))
    at_cell = secant(after1, t1, tanh_slope(after1, t1), after0, t0) * o

    def pull(grads: Sequence[Tensor]) -> tuple[Tensor, ...]:
        dc = torch.addcmul(grads[1], grads[0], at_cell)
        dz = torch.empty_like(k)
        torch.mul(dc.unsqueeze(1), k[:, :3], out=dz[:, :3])
        torch.mul(grads[0], k[:, 3], out=dz[:, 3])
        flat = dz.flatten(1)
        return flat @ weights.w_ih, flat @ weights.w_hh, dc * f

    return pull


def _gru(x: Tensor, state: Tensor, weights: Weights) -> tuple[Any, list[Tensor]]:
    n = state.shape[-1]
    z = F.linear(x, weights.w_ih, weights.b_ih)
    by_state = F.linear(state, weights.w_hh, weights.b_hh)
    m = by_state[:, 2 * n :]
    y = torch.empty_like(z)
    z[:, : 2 * n] += by_state[:, : 2 * n]
    torch.sigmoid(z[:, : 2 * n], out=y[:, : 2 * n])
    z[:, 2 * n :].addcmul_(y[:, :n], m)
    torch.tanh(z[:, 2 * n :], out=y[:, 2 * n :])
    new = y[:, 2 * n :]
    return torch.addcmul(new, y[:, n : 2 * n], state - new), [z, y, m, state]


def _pull_gru(recorded: Sequence[Tensor], own: Sequence[Tensor], weights: Weights) -> Pull:
    (z1, y1, m1, state1), (z0, y0, m0, state0) = recorded, own
    n = state0.shape[-1]
    slope = sigmoid_slope(z1, y1)
    slope[:, 2 * n :] = tanh_slope(z1[:, 2 * n :], y1[:, 2 * n :])
    k = secant(z1, y1, slope, z0, y0)
    at_r, at_z, at_n = by_gate(k, n).unbind(1)
    r, z, new = by_gate(midpoint(y1, y0), n).unbind(1)
    at_n.mul_(1 - z)
    at_z.mul_(midpoint(state1, state0) - new)
    at_r.mul_(midpoint(m1, m0)).mul_(at_n)
    to_state = k.clone()
    to_state[:, 2 * n :].mul_(r)

    def pull(grads: Sequence[Tensor]) -> tuple[Tensor, ...]:
        grad = grads[0].unsqueeze(1)
        by_input, by_state = ((grad * by_gate(one, n)).flatten(1) for one in (k, to_state))
        return by_input @ weights.w_ih, torch.addmm(grads[0] * z, by_state, weights.w_hh)

    return pull


def _tanh(x: Tensor, state: Tensor, weights: Weights) -> tuple[Any, list[Tensor]]:
    z = weights.gates(x, state)
    y = torch.tanh(z)
    return y, [z, y]


def _relu(x: Tensor, state: Tensor, weights: Weights) -> tuple[Any, list[Tensor]]:
    z = weights.gates(x, state)
    return torch.relu(z), [z]


def _pull_tanh(recorded: Sequence[Tensor], own: Sequence[Tensor], weights: Weights) -> Pull:
    (z1, y1), (z0, y0) = recorded, own
    return _pull_rnn(secant(z1, y1, tanh_slope(z1, y1), z0, y0), weights)


def _pull_relu(recorded: Sequence[Tensor], own: Sequence[Tensor], weights: Weights) -> Pull:
    return _pull_rnn(relu_secant(*align_partners(recorded[0], own[0])).reshape(own[0].shape), weights)


def _pull_rnn(k: Tensor, weights: Weights) -> Pull:
    def pull(grads: Sequence[Tensor]) -> tuple[Tensor, ...]:
        dz = grads[0] * k
        return dz @ weights.w_ih, dz @ weights.w_hh

    return pull


# How a step is made, with all that is needed of it, and how gradients go back through it.
KINDS: dict[str, tuple[Callable[..., tuple[Any, list[Tensor]]], Callable[..., Pull]]] = {
    "lstm": (_lstm, _pull_lstm),
    "gru": (_gru, _pull_gru),
    "rnn_tanh": (_tanh, _pull_tanh),
    "rnn_relu": (_relu, _pull_relu),
}
