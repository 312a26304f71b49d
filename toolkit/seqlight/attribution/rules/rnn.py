"""The gradient that goes back through a layer of tanh or relu: ``h = tanh(W x + U h' + b)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seqlight.attribution.calls.partners import align_partners
from seqlight.attribution.rules.elementwise import secant
from seqlight.attribution.rules.special_functions import relu_secant, tanh_slope
from seqlight.attribution.rules.steps import Layer


def rnn_tanh_vjp(grads: Sequence[Tensor], recorded: Layer, reference: Layer) -> tuple[Tensor, Tensor]:
    """Return the gradients at the input and the first state, from those at outputs and last state."""

    def multiplier(z1: Tensor, z0: Tensor) -> Tensor:
        # Not the outputs of the layer: those round otherwise than z, and where a sequence equals its reference, the
        # secant would be a quotient of two kinds of rounding.
        y1, y0 = torch.tanh(z1), torch.tanh(z0)
        return secant(z1, y1, tanh_slope(z1, y1), z0, y0)

    return _rnn_vjp(grads, recorded, reference, multiplier)


def rnn_relu_vjp(grads: Sequence[Tensor], recorded: Layer, reference: Layer) -> tuple[Tensor, Tensor]:
    """Return the gradients at the input and the first state, from those at outputs and last state."""

    def multiplier(z1: Tensor, z0: Tensor) -> Tensor:
        return relu_secant(*align_partners(z1, z0)).reshape(z0.shape)

    return _rnn_vjp(grads, recorded, reference, multiplier)


def _rnn_vjp(
    grads: Sequence[Tensor], recorded: Layer, reference: Layer, multiplier: Callable[..., Tensor]
) -> tuple[Tensor, Tensor]:
    grad, at_last = grads
    w_ih, w_hh = reference.weights[:2]
    z1, z0 = recorded.gates(), reference.gates()
    dh = at_last.clone()
    for piece in reference.backwards(recorded):
        secants = multiplier(z1[piece], z0[piece])
        dz = z0[piece]  # which nobody needs any more
        for g, m, to in reversed(list(zip(grad[piece].unbind(), secants.unbind(), dz.unbind(), strict=True))):
            torch.mul(dh.add_(g), m, out=to)
            torch.mm(to, w_hh, out=dh)
    return z0 @ w_ih, dh
