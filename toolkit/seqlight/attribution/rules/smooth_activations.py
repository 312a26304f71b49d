"""The rule for the smooth activation functions that have a kernel: GELU, SiLU and the sigmoid.

The multiplier is the secant, as of any elementwise operation (``elementwise.py``). Here the kernel computes and uses it
in the backward pass, so neither multipliers nor outputs of the references are kept, and one pass over memory does for
four. The compiled loops compute the function, too. All other activation functions are entered in ``table.py``, where
one name is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, ObserveFunction, PullbackFunction
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.kernels.memory_layout import suits
from seqlight.attribution.kernels.smooth_activations import Activation
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.elementwise import Rescale, real_operand, rounding_error, smallest_step


@dataclass(frozen=True)
class SmoothActivation(Rescale):
    """An activation function that has a kernel; without one for its tensors, any elementwise operation.

    Parameters
    ----------
    kind : callable, optional
        Returns which activation function a call is.
    """

    kind: Callable[[Call], Activation] | None = None

    def vjp_of_inputs(self, call: Call, x: Tensor) -> Function | None:
        """Return the kernel from `grad`, `x1` and `x0` to the gradient at `x0`, if one serves tensors like `x`."""
        assert self.kind is not None
        kernel = kernel_for("smooth_activations.rescale_vjp", x.device.type, x.dtype)
        if kernel is None:
            return None
        threshold, error = smallest_step(x.dtype), rounding_error(x.dtype, self.rounding)
        return partial(kernel, kind=self.kind(call), threshold=threshold, rounding_error=error)

    def slope_at(self, call: Call, x: Tensor) -> Tensor | None:
        """Return the slope at `x`, without a graph, where a kernel finds it; an infinite one counts as 0."""
        assert self.kind is not None
        activation = kernel_for("smooth_activations.activation", x.device.type, x.dtype)
        if activation is None or not suits(x):
            return None
        return activation(x.detach(), self.kind(call))[1].nan_to_num_(0, 0, 0)  # type: ignore[no-any-return]

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep input, output and slope; the input alone where a kernel needs no more."""
        assert self.kind is not None
        (x,), kind = real_operand(call), self.kind(call)
        activation = kernel_for("smooth_activations.activation", x.device.type, x.dtype)
        if activation is None or not suits(x):
            return super().observe(call, copy)
        kept: list[Snapshot] = []

        def compute(x: Tensor) -> Tensor:
            y, slope = activation(x, kind)
            kept.extend((Snapshot.take(x, copy), Snapshot.take(y, copy), Snapshot.take(slope, False)))
            return y  # type: ignore[no-any-return]

        return ObserveFunction.apply(compute, x), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply by the secant between reference and input, in the backward pass."""
        assert self.kind is not None
        recorded, (x,), kind = tuple(one.get() for one in kept), real_operand(call), self.kind(call)
        activation = kernel_for("smooth_activations.activation", x.device.type, x.dtype)
        activation_vjp = kernel_for("smooth_activations.activation_vjp", x.device.type, x.dtype)
        if activation is None or activation_vjp is None or not suits(x, *recorded):
            return super().explain(call, kept, copy)

        def compute(x0: Tensor) -> tuple[Tensor, Function]:
            own = Snapshot.take(x0, copy)

            def vjp(grad: Tensor) -> tuple[Tensor]:
                threshold, allowed = smallest_step(grad.dtype), rounding_error(grad.dtype, self.rounding)
                return (activation_vjp(grad, recorded, own.get(), kind, threshold, allowed),)

            return activation(x0, kind, sloped=False)[0], vjp

        return PullbackFunction.apply(compute, x)


def gelu(call: Call) -> Activation:
    """Return which GELU a call is: the exact one, or the approximation by tanh."""
    # Keywords may come in any order.
    by_tanh = any(isinstance(leaf, str) and leaf == "tanh" for leaf in call.leaves)
    return Activation.GELU_TANH if by_tanh else Activation.GELU


def silu(call: Call) -> Activation:
    """Return SiLU."""
    return Activation.SILU


def sigmoid(call: Call) -> Activation:
    """Return the sigmoid."""
    return Activation.SIGMOID
