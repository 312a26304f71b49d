"""A layer of an LSTM as a single node of autograd's graph that returns its gates as well, by the compiled loops.

PyTorch's own returns outputs alone: gates that follow from these are computed twice, and so are their gradients.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.directions import multiply
from seqlight.attribution.rules.multiplier_functions import differentiate_formula


class LSTMTrajectoryFunction(RuleFunction):
    """States and gates of a layer at all steps.

    Parameters of :meth:`forward`, for d directions: the weights for the input, (d, 4 size, features), and for the
    state, (d, 4 size, size); the sum of both biases or None; inputs, (d, steps, rows, features); both first states.
    """

    @staticmethod
    def forward(
        ctx: Any, w_ih: Tensor, w_hh: Tensor, bias: Tensor | None, inputs: Tensor, first: Tensor, first_cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the states after each step, the last cell state, and the gates before their activation functions."""
        kernel = kernel_for("lstm.lstm_trajectory", inputs.device.type, inputs.dtype)
        assert kernel is not None
        x, states, cells = kernel(w_hh, multiply(inputs, w_ih, bias), first, first_cell)
        y = states[:, 1:].contiguous()
        ctx.save_for_backward(w_ih, w_hh, bias, inputs, first, first_cell, x, y, cells)
        ctx.set_materialize_grads(False)
        return y, cells[:, -1].clone(), x

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return the gradients at all of these."""
        if all(one is None for one in grads):  # a gradient that goes past this node
            return (None,) * 6
        *operands, x, y, cells = ctx.saved_tensors
        w_ih, w_hh, bias, inputs, first, first_cell = operands
        given = zip(grads, (y, first_cell, x), strict=True)
        at_y, at_last_cell, at_x = arrived = [torch.zeros_like(its) if one is None else one for one, its in given]
        if torch.is_grad_enabled():
            return _differentiate_again(operands, arrived, ctx.needs_input_grad)
        kernel = kernel_for("lstm.lstm_trajectory_vjp", x.device.type, x.dtype)
        assert kernel is not None
        dx, *at_first = kernel(w_hh, x, cells, (at_x, at_y, at_last_cell))
        gates, before = dx.flatten(1, 2), torch.cat([first.unsqueeze(1), y[:, :-1]], dim=1)
        at_bias = None if bias is None else gates.sum(1)
        at_inputs = torch.bmm(gates, w_ih).view(inputs.shape) if ctx.needs_input_grad[3] else None
        by_weights = (gates.mT @ one.flatten(1, 2) for one in (inputs, before))
        return *by_weights, at_bias, at_inputs, *at_first


def _differentiate_again(operands: Any, grads: Any, needed: Any) -> Any:
    """Return the gradients in the graph."""
    if operands[2] is not None:
        return tuple(differentiate_formula(lstm_steps, operands, grads, needed))

    def formula(w_ih: Tensor, w_hh: Tensor, *of: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return lstm_steps(w_ih, w_hh, None, *of)

    found = differentiate_formula(formula, (*operands[:2], *operands[3:]), grads, (*needed[:2], *needed[3:]))
    return *found[:2], None, *found[2:]


def lstm_steps(
    w_ih: Tensor, w_hh: Tensor, bias: Tensor | None, inputs: Tensor, first: Tensor, first_cell: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what :class:`LSTMTrajectoryFunction` does, step by step, in formulas that autograd can differentiate."""
    h, c, ys, xs = first, first_cell, list[Tensor](), list[Tensor]()
    for each in multiply(inputs, w_ih, bias).unbind(1):
        x = torch.baddbmm(each, h, w_hh.mT)
        i, f, g, o = x.chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        ys.append(h)
        xs.append(x)
    return torch.stack(ys, dim=1), c, torch.stack(xs, dim=1)
