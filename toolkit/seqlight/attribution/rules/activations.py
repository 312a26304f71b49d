"""The rule for smooth activation functions of float32 on the CPU: the secant, made and used on the way back.

So neither multipliers nor outputs of the references are kept, and one pass over memory does for four.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seqlight.attribution.calls.recording import Call, Function, Observed, Pulled, Recorded, apply
from seqlight.attribution.rules import loops
from seqlight.attribution.rules.elementwise import Rescale, one_real, threshold
from seqlight.attribution.rules.loops import Activation


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
        if not loops.activates(x):
            return super().observe(call, copy)
        kept: list[Recorded] = []

        def compute(x: Tensor) -> Tensor:
            y, slope = loops.activation(x, kind)
            kept.extend((Recorded.of(x, copy), Recorded.of(y, copy), Recorded.of(slope, False)))
            return y

        return apply(Observed, compute, x), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply with the secant between reference and input."""
        assert self.kind is not None
        recorded, (x,), kind = tuple(one.get() for one in kept), one_real(call), self.kind(call)
        if not (loops.activates(x) and loops.suit(x, *recorded)):
            return super().explain(call, kept, copy)

        def compute(x0: Tensor) -> tuple[Tensor, Function]:
            own = Recorded.of(x0, copy)

            def pull(grad: Tensor) -> tuple[Tensor]:
                return (loops.activation_gradients(grad, recorded, own.get(), kind, threshold(grad.dtype)),)

            return loops.activation(x0, kind, sloped=False)[0], pull

        return apply(Pulled, compute, x)


def gelu(call: Call) -> Activation:
    """Return which of the two functions of this name a call is."""
    # Keywords may come in any order.
    by_tanh = any(isinstance(leaf, str) and leaf == "tanh" for leaf in call.leaves)
    return Activation.GELU_TANH if by_tanh else Activation.GELU
