"""What goes back through a layer of tanh or relu as a single node of autograd's graph, with derivatives in closed form.

As in ``lstm_multiplier.py``: what goes back from step to step is linear in what arrives, so its derivative goes the
same way forwards, and all multipliers and their derivatives are found for all steps at once.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.rules.multiplier_functions import (
    ReluFunction,
    differentiate_formula,
    least_secant_step,
    relu_derivatives,
    secant_derivatives,
    smooth_formula,
    smooth_secants,
)
from seqlight.attribution.rules.special_functions import relu_secant, tanh_at
from seqlight.attribution.rules.steps import from_the_last


class RNNMultiplierFunction(RuleFunction):
    """The gradients before the activation function, and at the first state, from those at outputs and last state.

    Parameters of :meth:`forward`, for d directions: whether the activation function is relu, and not tanh; the weights
    for the state, (d, size, size); the gradients at the outputs, (d, steps, rows, size), and at the last state; and
    what the activation function takes of sequences and of references.
    """

    @staticmethod
    def forward(
        ctx: Any, is_relu: bool, w_hh: Tensor, grad: Tensor, at_last: Tensor, x1: Tensor, x0: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients for the references."""
        near = least_secant_step(x0.dtype)
        multiplier, at = (
            (relu_secant(x1, x0), x0.new_empty(0, dtype=torch.long))
            if is_relu
            else smooth_secants(tanh_at, near, x1, x0, torch.tanh(x1), torch.tanh(x0))
        )
        dh, dx = torch.cat([torch.zeros_like(at_last).unsqueeze(1), grad], dim=1), torch.empty_like(grad)
        dh[:, -1] += at_last
        for before, after, slope, to in from_the_last(dh[:, :-1], dh[:, 1:], multiplier, dx):
            before.baddbmm_(torch.mul(after, slope, out=to), w_hh)
        ctx.is_relu = is_relu
        ctx.save_for_backward(w_hh, grad, at_last, x1, x0, dh[:, 1:], dx, multiplier, at)
        return dx, dh[:, 0].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at all of these."""
        *operands, dh, dx, multiplier, at = ctx.saved_tensors
        if torch.is_grad_enabled():
            formula = partial(rnn_formula, ctx.is_relu)
            return None, *differentiate_formula(formula, operands, grads, ctx.needs_input_grad[1:])
        (w_hh, *_, x1, x0), (back, at_first) = operands, (grads[0].clone(), grads[1])
        states = torch.cat([at_first.unsqueeze(1), torch.empty_like(back)], dim=1)
        each = (x.unbind(1) for x in (states[:, :-1], states[:, 1:], back, multiplier))
        for before, after, to, slope in zip(*each, strict=True):
            torch.mul(to.baddbmm_(before, w_hh.mT), slope, out=after)
        along = back.mul_(dh)
        at_1, at_0 = (
            relu_derivatives(x1, x0, along)
            if ctx.is_relu
            else secant_derivatives(tanh_at, x1, x0, multiplier, at, along)
        )
        by_w_hh = dx.flatten(1, 2).mT @ states[:, :-1].flatten(1, 2)
        return None, by_w_hh, states[:, 1:], states[:, -1], at_1, at_0


def rnn_formula(
    is_relu: bool, w_hh: Tensor, grad: Tensor, at_last: Tensor, x1: Tensor, x0: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what :class:`RNNMultiplierFunction` does, step by step, in formulas that autograd can differentiate."""
    tanh = partial(smooth_formula, torch.tanh, tanh_at, least_secant_step(x0.dtype))
    multiply = ReluFunction.apply if is_relu else tanh
    dh, found = at_last, list[Tensor]()
    for t in reversed(range(grad.shape[1])):
        found.append(multiply(dh + grad[:, t], x1[:, t], x0[:, t]))
        dh = found[-1] @ w_hh
    return torch.stack(found[::-1], dim=1), dh
