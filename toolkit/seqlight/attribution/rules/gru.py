"""The gradient that goes back through a layer of a GRU.

For the state ``h'`` before a step::

r, z = sigmoid(W x + U h' + b)        a reset and an update
n = tanh(V x + c + r * m)             a new state, with m = Q h' + d
h = n + z * (h' - n)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqlight.attribution.rules.elementwise import secant
from seqlight.attribution.rules.product import midpoint
from seqlight.attribution.rules.special_functions import sigmoid_slope, tanh_slope
from seqlight.attribution.rules.steps import Layer, by_gate


def gru_vjp(grads: Sequence[Tensor], recorded: Layer, reference: Layer) -> tuple[Tensor, Tensor]:
    """Return the gradients at the input and the first state, from those at outputs and last state."""
    grad, at_last = grads
    w_ih, w_hh = reference.weights[:2]
    n = w_hh.shape[1]
    by_input1, by_state1, before1 = recorded.projected(), recorded.recurrent(), recorded.before()
    by_input, by_state, before = reference.projected(), reference.recurrent(), reference.before()
    dh, carry = at_last.clone(), torch.empty_like(at_last)
    for piece in reference.backwards(recorded):
        x1, y1 = _activate(by_input1[piece], by_state1[piece], n)
        x0, y0 = _activate(by_input[piece], by_state[piece], n)
        slope1 = torch.cat(
            [sigmoid_slope(x1[..., : 2 * n], y1[..., : 2 * n]), tanh_slope(x1[..., 2 * n :], y1[..., 2 * n :])], dim=-1
        )
        k, mean = secant(x1, y1, slope1, x0, y0), midpoint(y1, y0)
        at_r, at_z, at_n = by_gate(k, n).unbind(-2)
        r, z, new = by_gate(mean, n).unbind(-2)
        m = midpoint(by_state1[piece][..., 2 * n :], by_state[piece][..., 2 * n :])
        at_n.mul_(1 - z)
        at_z.mul_(midpoint(before1[piece], before[piece]) - new)
        at_r.mul_(m).mul_(at_n)
        at_new = at_n.clone()
        at_n.mul_(r)
        each = torch.empty_like(z)  # the gradient at the state after each step
        to_state = by_state[piece]
        steps = zip(
            grad[piece].unbind(),
            each.unbind(),
            by_gate(k, n).unbind(),
            by_gate(to_state, n).unbind(),
            to_state.unbind(),
            z.unbind(),
            strict=True,
        )
        for g, total, multiplier, to, flat, kept in reversed(list(steps)):
            torch.add(dh, g, out=total)
            torch.mul(total.unsqueeze(1), multiplier, out=to)
            torch.mul(total, kept, out=carry)
            torch.addmm(carry, flat, w_hh, out=dh)
        by_input[piece][..., : 2 * n].copy_(to_state[..., : 2 * n])
        torch.mul(each, at_new, out=by_input[piece][..., 2 * n :])
    return by_input @ w_ih, dh


def _activate(by_input: Tensor, by_state: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return what the activation functions of r, z and n take, and what they return."""
    x, y = by_input.clone(), torch.empty_like(by_input)
    x[..., : 2 * n] += by_state[..., : 2 * n]
    torch.sigmoid(x[..., : 2 * n], out=y[..., : 2 * n])
    x[..., 2 * n :].addcmul_(y[..., :n], by_state[..., 2 * n :])
    torch.tanh(x[..., 2 * n :], out=y[..., 2 * n :])
    return x, y
