"""The rule for smooth activation functions of float32 on the CPU: the secant, made and used on the way back.

So neither multipliers nor outputs of the references are kept, and one pass over memory does for four.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, Observed, Pulled
from seqlight.attribution.calls.record import Recorded
from seqlight.attribution.kernels import elementwise as loops
from seqlight.attribution.rules.elementwise import Rescale, allowance, least, one_real
from seqlight.native.library import has_lanes, library
from seqlight.native.threads import run


class Activation(Enum):
    """Smooth activation functions, by the number that activations.c has for them."""

    GELU = 0
    GELU_TANH = 1
    SILU = 2
    SIGMOID = 3


@dataclass(frozen=True)
class Smooth(Rescale):
    """One of :class:`Activation`. Of tensors that the loops do not take it is explained as any elementwise operation.

    Parameters
    ----------
    kind : callable, optional
        Which of them a call is.
    """

    kind: Callable[[Call], Activation] | None = None

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep input, output and slope."""
        assert self.kind is not None
        (x,), kind = one_real(call), self.kind(call)
        if not activates(x):
            return super().observe(call, copy)
        kept: list[Recorded] = []

        def compute(x: Tensor) -> Tensor:
            y, slope = activation(x, kind)
            kept.extend((Recorded.of(x, copy), Recorded.of(y, copy), Recorded.of(slope, False)))
            return y

        return Observed.apply(compute, x), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply with the secant between reference and input."""
        assert self.kind is not None
        recorded, (x,), kind = tuple(one.get() for one in kept), one_real(call), self.kind(call)
        if not (activates(x) and loops.suit(x, *recorded)):
            return super().explain(call, kept, copy)

        def compute(x0: Tensor) -> tuple[Tensor, Function]:
            own = Recorded.of(x0, copy)

            def pull(grad: Tensor) -> tuple[Tensor]:
                near, allowed = least(grad.dtype), allowance(grad.dtype, self.rounding)
                return (activation_gradients(grad, recorded, own.get(), kind, near, allowed),)

            return activation(x0, kind, sloped=False)[0], pull

        return Pulled.apply(compute, x)


def gelu(call: Call) -> Activation:
    """Return which of the two functions of this name a call is."""
    # Keywords may come in any order.
    by_tanh = any(isinstance(leaf, str) and leaf == "tanh" for leaf in call.leaves)
    return Activation.GELU_TANH if by_tanh else Activation.GELU


def activates(x: Tensor) -> bool:
    """Return whether :func:`activation` takes `x`."""
    return has_lanes(library()) and x.dtype == torch.float32 and loops.suit(x)


def activation(x: Tensor, kind: Activation, *, sloped: bool = True) -> tuple[Tensor, Tensor]:
    """Return a smooth activation function of `x`, and its slope, which is empty if it is not asked for."""
    y, slope = torch.empty_like(x), x.new_empty(x.shape if sloped else 0)
    run("activations", (x, y, slope if sloped else None), (kind.value,), x.numel(), x.numel())
    return y, slope


def activation_gradients(
    grad: Tensor, recorded: tuple[Tensor, ...], x0: Tensor, kind: Activation, threshold: float, allowance: float
) -> Tensor:
    """Return the gradient at `x0`, the input of an activation function.

    Parameters
    ----------
    grad : torch.Tensor
        The gradient at its output.
    recorded : tuple of torch.Tensor
        Input, output and slope of the sequences, as :func:`activation` gives them.
    x0 : torch.Tensor
        The input of the references.
    kind : Activation
        Which function.
    threshold : float
        Below which a difference counts as none.
    allowance : float
        Which share of its size an output may be off by: that of the input, for both kinds of GELU.
    """
    out = torch.empty_like(x0)
    numbers = *loops.layout(recorded[0], x0), kind.value, threshold, allowance
    run("activation_gradients", (grad.contiguous(), *recorded, x0, out), numbers, x0.numel(), x0.numel())
    return out
