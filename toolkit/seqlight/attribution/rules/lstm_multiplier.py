"""What goes back through a layer of an LSTM as a single node of autograd's graph, with its derivatives in closed form.

With multipliers that are known at all steps, what goes back from step to step is linear in what arrives. So the
derivative with respect to what arrives goes the same way forwards, and that with respect to the multipliers is a
product of what went back and what came forth: all else is computed for all steps at once (``lstm_walk.py``).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.lstm_walk import Multipliers, Walk
from seqlight.attribution.rules.multiplier_functions import differentiate_formula, least_secant_step, smooth_formula
from seqlight.attribution.rules.special_functions import sigmoid_at, tanh_at
from seqlight.attribution.rules.steps import by_gate, from_the_last


class LSTMMultiplierFunction(RuleFunction):
    """The gradients at gates and first states of a layer, from those at its outputs and last states.

    Parameters of :meth:`forward`, for d directions: the weights for the state, (d, 4 size, outputs), and those of a
    projection or None; the gradients at the outputs, (d, steps, rows, outputs), last states and last cell states; gates
    before their activation functions, (d, steps, rows, 4 size), and first cell states of sequences and of references.
    """

    @staticmethod
    def forward(
        ctx: Any, w_hh: Tensor, w_hr: Tensor | None, grad: Tensor, at_last: Tensor, at_last_cell: Tensor, *of: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients at the gates and at the first states of the references."""
        grads, sequences, references = (grad, at_last, at_last_cell), (of[0], of[1]), (of[2], of[3])
        kernel = kernel_for("lstm.lstm_multiplier", grad.device.type, grad.dtype) if w_hr is None else None
        if kernel is not None and grad.numel():
            dz, dh, dc, *first, cells1, cells0 = kernel(w_hh, grads, sequences, references)
            kept: tuple[Tensor, ...] = cells1, cells0
        else:
            one, other = Walk.along(*sequences), Walk.along(*references)
            multipliers = Multipliers.between(one, other)
            dz, dh, dc, *first = _go_back(w_hh, w_hr, *grads, multipliers)
            kept = *one, *other, *multipliers
        ctx.save_for_backward(w_hh, w_hr, *grads, *of, dz, dh, dc, *kept)
        return dz, first[0], first[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at all of these."""
        w_hh, w_hr, *operands = ctx.saved_tensors[:9]
        if torch.is_grad_enabled():
            return _differentiate_again(w_hh, w_hr, operands, grads, ctx.needs_input_grad)
        dz, dh, dc, *kept = ctx.saved_tensors[9:]
        x1, _, x0, _ = operands[3:]
        if len(kept) == 2:
            kernel = kernel_for("lstm.lstm_derivatives", x0.device.type, x0.dtype)
            assert kernel is not None
            states, last_cell, at_1, at_0 = kernel(w_hh, grads, (dh, dc), (x1, kept[0]), (x0, kept[1]))
            by_w_hr = None
        else:
            one, other, of = Walk(*kept[:4]), Walk(*kept[4:8]), Multipliers(*kept[8:])
            by_gates, states, outputs, cells = _come_forth(w_hh, w_hr, grads[0], grads[1], grads[2], of)
            by_w_hr = None if w_hr is None else dh.flatten(1, 2).mT @ outputs.flatten(1, 2)
            du = dh if w_hr is None else dh @ w_hr[:, None]
            # Each gate is multiplied by what arrives at the cell state, and the last one by what arrives at the output.
            arriving, last_cell = torch.stack([dc, dc, dc, du], dim=-2).flatten(-2), cells[:, -1]
            at_1, at_0 = of.differentiate(one, other, by_gates * arriving, cells[:, 1:] * du, cells[:, :-1] * dc)
        by_w_hh = dz.flatten(1, 2).mT @ states[:, :-1].flatten(1, 2)
        return by_w_hh, by_w_hr, states[:, 1:], states[:, -1], last_cell, *at_1, *at_0


def _go_back(
    w_hh: Tensor, w_hr: Tensor | None, grad: Tensor, at_last: Tensor, at_last_cell: Tensor, of: Multipliers
) -> tuple[Tensor, ...]:
    """Return the gradients at the gates, at the states and cell states after each step, and at both first states."""
    n = at_last_cell.shape[-1]
    dz, dh, dc, carry = torch.empty_like(of.gates), grad.clone(), torch.empty_like(of.cell), at_last_cell.clone()
    dh[:, -1] += at_last
    gates, to = by_gate(of.gates, n), by_gate(dz, n)
    tensors = dh, dc, gates[..., 3, :], gates[..., :3, :], of.cell, of.keep, to[..., 3, :], to[..., :3, :], dz
    arriving = None
    for h, c, output, others, cell, keep, to_output, to_others, flat in from_the_last(*tensors):
        if arriving is not None:
            h.baddbmm_(arriving, w_hh)
        u = h if w_hr is None else h @ w_hr
        torch.addcmul(carry, u, cell, out=c)
        torch.mul(u, output, out=to_output)
        torch.mul(c.unsqueeze(-2), others, out=to_others)
        torch.mul(c, keep, out=carry)
        arriving = flat
    return dz, dh, dc, dz[:, 0] @ w_hh, carry


def _come_forth(
    w_hh: Tensor, w_hr: Tensor | None, grad: Tensor, at_first: Tensor, at_first_cell: Tensor, of: Multipliers
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the same, transposed, from the first step to the last: what arrives at gates, states, outputs and cells.

    States and cell states are those before all steps, and after each; outputs are states before their projection.
    """
    n = at_first_cell.shape[-1]
    back, w = grad.clone(), w_hh.mT
    cells = torch.cat([at_first_cell.unsqueeze(1), torch.empty_like(of.cell)], dim=1)
    states = at_first.new_empty(len(w_hh), 1 + grad.shape[1], *at_first.shape[1:])
    states[:, 0] = at_first
    outputs = states[:, 1:] if w_hr is None else torch.empty_like(of.cell)
    product = torch.empty_like(grad[:, 0])
    output, others = by_gate(product, n)[..., 3, :], by_gate(product, n)[..., :3, :]
    each = (
        x.unbind(1) for x in (back, of.gates, of.cell, of.keep, states, states[:, 1:], outputs, cells, cells[:, 1:])
    )
    for to, gates, cell, keep, state, after, u, c, c_after in zip(*each, strict=False):
        to.baddbmm_(state, w)
        torch.mul(to, gates, out=product)
        torch.sum(others, dim=-2, out=c_after)
        c_after.addcmul_(c, keep)
        torch.addcmul(output, c_after, cell, out=u)
        if w_hr is not None:
            torch.bmm(u, w_hr.mT, out=after)
    return back, states, outputs, cells


def _differentiate_again(w_hh: Tensor, w_hr: Tensor | None, operands: Any, grads: Any, needed: Any) -> Any:
    """Return the gradients in the graph."""
    if w_hr is not None:
        return tuple(differentiate_formula(lstm_formula, (w_hh, w_hr, *operands), grads, needed))

    def formula(w_hh: Tensor, *of: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return lstm_formula(w_hh, None, *of)

    at_w_hh, *others = differentiate_formula(formula, (w_hh, *operands), grads, (needed[0], *needed[2:]))
    return at_w_hh, None, *others


def lstm_formula(
    w_hh: Tensor, w_hr: Tensor | None, grad: Tensor, at_last: Tensor, at_last_cell: Tensor, *of: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what :class:`LSTMMultiplierFunction` does, step by step, in formulas that autograd can differentiate."""
    (x1, first1), (x0, first0) = of[:2], of[2:]
    (gates1, cells1), (gates0, cells0) = _cells_of(x1, first1), _cells_of(x0, first0)
    near = least_secant_step(x0.dtype)
    sigmoid = partial(smooth_formula, torch.sigmoid, sigmoid_at, near)
    tanh = partial(smooth_formula, torch.tanh, tanh_at, near)
    dh, dc, found = at_last, at_last_cell, list[Tensor]()
    for t in reversed(range(grad.shape[1])):
        (i1, f1, g1, o1), (i0, f0, g0, o0) = gates1[t], gates0[t]
        dh = dh + grad[:, t]
        du = dh if w_hr is None else dh @ w_hr
        dc = dc + tanh(du * (o1 + o0) / 2, cells1[t + 1], cells0[t + 1])
        arriving = (
            dc * (g1 + g0) / 2,
            dc * (cells1[t] + cells0[t]) / 2,
            dc * (i1 + i0) / 2,
            du * (torch.tanh(cells1[t + 1]) + torch.tanh(cells0[t + 1])) / 2,
        )
        before = zip(
            (sigmoid, sigmoid, tanh, sigmoid), arriving, x1[:, t].chunk(4, -1), x0[:, t].chunk(4, -1), strict=True
        )
        dz = torch.cat([function(*each) for function, *each in before], dim=-1)
        found.append(dz)
        dh, dc = dz @ w_hh, dc * (f1 + f0) / 2
    return torch.stack(found[::-1], dim=1), dh, dc


def _cells_of(x: Tensor, first: Tensor) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Return the gates of each step, and the cell states from the first on."""
    gates, cells = list[list[Tensor]](), [first]
    for each in x.unbind(1):
        i, f, g, o = each.chunk(4, dim=-1)
        gates.append([torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)])
        cells.append(gates[-1][1] * cells[-1] + gates[-1][0] * gates[-1][2])
    return gates, cells
