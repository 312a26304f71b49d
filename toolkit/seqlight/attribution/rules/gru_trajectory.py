"""A layer of a GRU as a node of autograd's graph that returns what its gates add up from, by the compiled loops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.multiplier_functions import differentiate_formula


class GRUTrajectoryFunction(RuleFunction):
    """States of a layer at all steps, and what they add to gates.

    Parameters of :meth:`forward`, for d directions: the weights for the state, (d, 3 size, size), and the bias beside
    them, (d, 3 size), which may be zeros; what the input adds to gates, (d, steps, rows, 3 size); the first state.
    """

    @staticmethod
    def forward(ctx: Any, w_hh: Tensor, b_hh: Tensor, by_input: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states after each step, and what the state before each adds to gates."""
        kernel = kernel_for("gru.gru_trajectory", by_input.device.type, by_input.dtype)
        assert kernel is not None
        by_state, states = kernel(w_hh, b_hh, by_input, first)
        ctx.save_for_backward(w_hh, b_hh, by_input, first, by_state, states)
        ctx.set_materialize_grads(False)
        return states[:, 1:].contiguous(), by_state

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return the gradients at all of these."""
        if all(one is None for one in grads):  # a gradient that goes past this node
            return (None,) * 4
        w_hh, b_hh, by_input, first, by_state, states = ctx.saved_tensors
        given = zip(grads, (states[:, 1:], by_state), strict=True)
        arrived = [torch.zeros_like(its) if one is None else one for one, its in given]
        if torch.is_grad_enabled():
            operands = w_hh, b_hh, by_input, first
            return tuple(differentiate_formula(gru_steps, operands, arrived, ctx.needs_input_grad))
        kernel = kernel_for("gru.gru_trajectory_vjp", by_input.device.type, by_input.dtype)
        assert kernel is not None
        at_input, at_state, at_first = kernel(w_hh, by_input, by_state, states, arrived)
        gates = at_state.flatten(1, 2)
        return gates.mT @ states[:, :-1].flatten(1, 2), gates.sum(1), at_input, at_first


def gru_steps(w_hh: Tensor, b_hh: Tensor, by_input: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Return what :class:`GRUTrajectoryFunction` does, step by step, in formulas that autograd can differentiate."""
    h, ys, xs = first, list[Tensor](), list[Tensor]()
    for each in by_input.unbind(1):
        by_state = torch.baddbmm(b_hh.unsqueeze(1), h, w_hh.mT)
        (a, b, c), (reset, update, memory) = each.chunk(3, dim=-1), by_state.chunk(3, dim=-1)
        new = torch.tanh(c + torch.sigmoid(a + reset) * memory)
        h = new + torch.sigmoid(b + update) * (h - new)
        ys.append(h)
        xs.append(by_state)
    return torch.stack(ys, dim=1), torch.stack(xs, dim=1)
