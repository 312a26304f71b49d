"""The gradient that goes back through a layer of tanh: ``h = tanh(W x + U h' + b)``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqlight.attribution.rules.elementwise import secant
from seqlight.attribution.rules.special_functions import tanh_slope
from seqlight.attribution.rules.steps import Layer


def rnn_tanh_vjp(grads: Sequence[Tensor], recorded: Layer, reference: Layer) -> tuple[Tensor, Tensor]:
    """Return the gradients at the input and the first state, from those at outputs and last state."""
    grad, at_last = grads
    w_ih, w_hh = reference.weights[:2]
    z1, z0 = recorded.gates(), reference.gates()
    y1, y0 = recorded.y, reference.y
    dh = at_last.clone()
    for piece in reference.backwards(recorded):
        slope1 = tanh_slope(z1[piece], y1[piece])
        multiplier = secant(z1[piece], y1[piece], slope1, z0[piece], y0[piece])
        dz = z0[piece]  # which nobody needs any more
        for g, m, to in reversed(list(zip(grad[piece].unbind(), multiplier.unbind(), dz.unbind(), strict=True))):
            torch.mul(dh.add_(g), m, out=to)
            torch.mm(to, w_hh, out=dh)
    return z0 @ w_ih, dh
