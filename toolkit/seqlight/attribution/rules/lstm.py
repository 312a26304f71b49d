"""The gradient that goes back through a layer of an LSTM.

For the state ``h'`` and the cell state ``c'`` before a step::

i, f, o = sigmoid(W x + U h' + b)     gates for input, memory and output
g = tanh(V x + Q h' + d)              a new memory
c = f * c' + i * g
h = o * tanh(c)                       or its projection, P (o * tanh(c))
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqlight.attribution.rules.elementwise import secant
from seqlight.attribution.rules.product import midpoint
from seqlight.attribution.rules.special_functions import sigmoid_slope, tanh_slope
from seqlight.attribution.rules.steps import Layer, by_gate


def lstm_vjp(grads: Sequence[Tensor], recorded: Layer, reference: Layer) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients at the input and both first states, from those at outputs and last states."""
    grad, at_last, at_last_cell = grads
    w_ih, w_hh = reference.weights[:2]
    n, projection = len(w_hh) // 4, reference.projection
    (x1, cells1), (x0, cells0) = (_gates_and_cells(one, n) for one in (recorded, reference))
    dh, dc = at_last.clone(), at_last_cell.clone()
    du = dh if projection is None else torch.empty_like(dc)
    for piece in reference.backwards(recorded):
        after = slice(piece.start + 1, piece.stop + 1)
        y1, y0 = _activate(x1[piece], n), _activate(x0[piece], n)
        k, mean = secant(x1[piece], y1, _slope(x1[piece], y1, n), x0[piece], y0), midpoint(y1, y0)
        i, f, g, o = by_gate(mean, n).unbind(-2)
        at_i, at_f, at_g, at_o = by_gate(k, n).unbind(-2)
        c1, c0 = cells1[after], cells0[after]
        t1, t0 = torch.tanh(c1), torch.tanh(c0)
        at_i.mul_(g)
        at_f.mul_(midpoint(cells1[piece], cells0[piece]))
        at_g.mul_(i)
        at_o.mul_(midpoint(t1, t0))
        at_c = secant(c1, t1, tanh_slope(c1, t1), c0, t0).mul_(o)
        dz = x0[piece]  # which nobody needs any more
        steps = zip(
            grad[piece].unbind(),
            at_c.unbind(),
            f.unbind(),
            by_gate(k, n).unbind(),
            by_gate(dz, n).unbind(),
            dz.unbind(),
            strict=True,
        )
        for g_, c_, f_, multiplier, to, flat in reversed(list(steps)):
            dh.add_(g_)
            if projection is not None:
                torch.mm(dh, projection, out=du)
            dc.addcmul_(du, c_)
            torch.mul(dc.unsqueeze(1), multiplier[:, :3], out=to[:, :3])
            torch.mul(du, multiplier[:, 3], out=to[:, 3])
            dc.mul_(f_)
            torch.mm(flat, w_hh, out=dh)
    return x0 @ w_ih, dh, dc


def _gates_and_cells(layer: Layer, n: int) -> tuple[Tensor, Tensor]:
    """Return what the activation functions take, and the first cell state with that after each step."""
    x = layer.gates()
    cells = x.new_empty(len(x) + 1, *layer.states[1].shape)
    cells[0] = layer.states[1]
    for piece in layer.pieces():
        i, f, g, _ = by_gate(_activate(x[piece], n), n).unbind(-2)
        new = i * g
        before, after = cells[piece].unbind(), cells[piece.start + 1 : piece.stop + 1].unbind()
        for a, keep, old, to in zip(new.unbind(), f.unbind(), before, after, strict=True):
            torch.addcmul(a, keep, old, out=to)
    return x, cells


def _activate(x: Tensor, n: int) -> Tensor:
    y = torch.sigmoid(x)
    torch.tanh(x[..., 2 * n : 3 * n], out=y[..., 2 * n : 3 * n])
    return y


def _slope(x: Tensor, y: Tensor, n: int) -> Tensor:
    slope = sigmoid_slope(x, y)
    slope[..., 2 * n : 3 * n] = tanh_slope(x[..., 2 * n : 3 * n], y[..., 2 * n : 3 * n])
    return slope
