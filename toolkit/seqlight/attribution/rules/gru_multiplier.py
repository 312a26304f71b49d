"""What goes back through a layer of a GRU as a single node of autograd's graph, with its derivatives in closed form.

As in ``lstm_multiplier.py``: what goes back from step to step is linear in what arrives, so its derivative goes the
same way forwards, and all multipliers and their derivatives are found for all steps at once (``gru_walk.py``).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.gru_walk import Multipliers, Walk
from seqlight.attribution.rules.multiplier_functions import differentiate_formula, least_secant_step, smooth_formula
from seqlight.attribution.rules.special_functions import sigmoid_at, tanh_at
from seqlight.attribution.rules.steps import by_gate, from_the_last


class GRUMultiplierFunction(RuleFunction):
    """The gradients at what the input adds to the gates, and at the first state, from those at outputs and last state.

    Parameters of :meth:`forward`, for d directions: the weights for the state, (d, 3 size, size); the gradients at the
    outputs, (d, steps, rows, size), and at the last state; and of sequences and of references what inputs and states
    add to the gates, (d, steps, rows, 3 size), and the state before each step.
    """

    @staticmethod
    def forward(ctx: Any, w_hh: Tensor, grad: Tensor, at_last: Tensor, *of: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients for the references."""
        kernel = kernel_for("gru.gru_multiplier", grad.device.type, grad.dtype)
        if kernel is not None and grad.numel():
            kept: tuple[Tensor, ...] = ()
            by_input, by_state, dh, first = kernel(w_hh, (grad, at_last), of)
        else:
            one, other = Walk.along(*of[:3]), Walk.along(*of[3:])
            multipliers = Multipliers.between(one, other)
            by_state, dh, first = _go_back(w_hh, grad, at_last, multipliers)
            by_input, kept = torch.cat([dh, dh, dh], dim=-1) * multipliers.to_input, (*one, *other, *multipliers)
        ctx.save_for_backward(w_hh, grad, at_last, *of, by_state, dh, *kept)
        return by_input, first

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at all of these."""
        operands, (by_state, dh, *kept) = ctx.saved_tensors[:9], ctx.saved_tensors[9:]
        if torch.is_grad_enabled():
            return tuple(differentiate_formula(gru_formula, operands, grads, ctx.needs_input_grad))
        if kept:
            one, other, of = Walk(*kept[:4]), Walk(*kept[4:8]), Multipliers(*kept[8:])
            back, states = _come_forth(operands[0], grads[0], grads[1], of)
            arriving = torch.cat([dh, dh, dh], dim=-1)
            at_1, at_0 = of.differentiate(one, other, grads[0] * arriving, back * arriving, states[:, :-1] * dh)
            found = *at_1, *at_0
        else:
            kernel = kernel_for("gru.gru_derivatives", dh.device.type, dh.dtype)
            assert kernel is not None
            states, found = kernel(operands[0], grads, dh, operands[3:])
        by_w_hh = by_state.flatten(1, 2).mT @ states[:, :-1].flatten(1, 2)
        return by_w_hh, states[:, 1:], states[:, -1], *found


def _go_back(w_hh: Tensor, grad: Tensor, at_last: Tensor, of: Multipliers) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients at what states add to the gates, at states after each step, and at the first one."""
    n = grad.shape[-1]
    first = torch.zeros_like(at_last)
    dh, by_state = torch.cat([first.unsqueeze(1), grad], dim=1), torch.empty_like(of.to_state)
    dh[:, -1] += at_last
    tensors = dh[:, :-1], dh[:, 1:], by_gate(of.to_state, n), by_gate(by_state, n), by_state, of.keep
    for before, after, multiplier, to, flat, keep in from_the_last(*tensors):
        torch.mul(after.unsqueeze(-2), multiplier, out=to)
        before.addcmul_(after, keep).baddbmm_(flat, w_hh)
    return by_state, dh[:, 1:], dh[:, 0]


def _come_forth(w_hh: Tensor, grad: Tensor, at_first: Tensor, of: Multipliers) -> tuple[Tensor, Tensor]:
    """Return the same, transposed, from the first step to the last: what arrives at gates, and at all states."""
    n = at_first.shape[-1]
    by_input = by_gate(grad * of.to_input, n).sum(dim=-2)
    states, back, w = torch.cat([at_first.unsqueeze(1), by_input], dim=1), torch.empty_like(grad), w_hh.mT
    product, total = torch.empty_like(grad[:, 0]), torch.empty_like(at_first)
    each = (x.unbind(1) for x in (states[:, :-1], states[:, 1:], back, of.to_state, of.keep))
    for before, after, to, multiplier, keep in zip(*each, strict=True):
        torch.bmm(before, w, out=to)
        torch.mul(to, multiplier, out=product)
        torch.sum(by_gate(product, n), dim=-2, out=total)
        after.add_(total).addcmul_(before, keep)
    return back, states


def gru_formula(
    w_hh: Tensor, grad: Tensor, at_last: Tensor, by_input1: Tensor, by_state1: Tensor, before1: Tensor, *other: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what :class:`GRUMultiplierFunction` does, step by step, in formulas that autograd can differentiate."""
    by_input0, by_state0, before0 = other
    near = least_secant_step(grad.dtype)
    sigmoid = partial(smooth_formula, torch.sigmoid, sigmoid_at, near)
    tanh = partial(smooth_formula, torch.tanh, tanh_at, near)
    dh, found = at_last, list[Tensor]()
    for t in reversed(range(grad.shape[1])):
        (reset1, update1, new1), memory1 = _gates(by_input1[:, t], by_state1[:, t])
        (reset0, update0, new0), memory0 = _gates(by_input0[:, t], by_state0[:, t])
        reset, keep = ((torch.sigmoid(a) + torch.sigmoid(b)) / 2 for a, b in ((reset1, reset0), (update1, update0)))
        new = (torch.tanh(new1) + torch.tanh(new0)) / 2
        dh = dh + grad[:, t]
        at_new = tanh(dh * (1 - keep), new1, new0)
        at_update = sigmoid(dh * ((before1[:, t] + before0[:, t]) / 2 - new), update1, update0)
        at_reset = sigmoid(at_new * (memory1 + memory0) / 2, reset1, reset0)
        found.append(torch.cat([at_reset, at_update, at_new], dim=-1))
        dh = dh * keep + torch.cat([at_reset, at_update, at_new * reset], dim=-1) @ w_hh
    return torch.stack(found[::-1], dim=1), dh


def _gates(by_input: Tensor, by_state: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Return the gates of a step before their activation functions, and what the state adds to the new one."""
    (a, b, c), (reset, update, memory) = by_input.chunk(3, dim=-1), by_state.chunk(3, dim=-1)
    return (a + reset, b + update, c + torch.sigmoid(a + reset) * memory), memory
