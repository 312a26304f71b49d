"""A gradient times the multiplier of a smooth activation function as a single node, by the compiled loops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function, RuleFunction
from seqlight.attribution.kernels.smooth_activations import Activation, Hyperbolic
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.elementwise import Rescale
from seqlight.attribution.rules.multiplier_functions import differentiate_formula, smooth_formula
from seqlight.attribution.rules.smooth_activations import SmoothActivation


class ActivationMultiplierFunction(RuleFunction):
    """The same as :class:`SmoothFunction`, of a function that the loops have.

    Parameters of :meth:`forward`: the function and its slope, both of one tensor; the step from which on a secant has
    enough digits; which function of the loops it is; the gradient, inputs and outputs.
    """

    @staticmethod
    def forward(
        ctx: Any,
        function: Function,
        slope: Function,
        near: float,
        kind: Activation | Hyperbolic,
        grad: Tensor,
        x1: Tensor,
        x0: Tensor,
        *ys: Tensor,
    ) -> Tensor:
        """Return `grad` times the multiplier."""
        # The gates of a recurrent network are parts of wider tensors.
        grad, x1, x0, y1, y0 = (one.contiguous() for one in (grad, x1, x0, *ys))
        kernel = kernel_for("smooth_activations.activation_multiplier", x0.device.type, x0.dtype)
        assert kernel is not None
        found, multiplier = kernel(grad, x1, x0, y1, y0, kind, near)
        ctx.function, ctx.slope, ctx.near, ctx.kind = function, slope, near, kind
        ctx.save_for_backward(grad, x1, x0, multiplier)
        return found  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the gradient and at both inputs; outputs are functions of these."""
        (g,), (grad, x1, x0, multiplier) = grads, ctx.saved_tensors
        if torch.is_grad_enabled():

            def formula(*of: Tensor) -> Tensor:
                return smooth_formula(ctx.function, ctx.slope, ctx.near, *of)

            found = differentiate_formula(formula, (grad, x1, x0), g, ctx.needs_input_grad[4:7])
        else:
            kernel = kernel_for("smooth_activations.activation_derivatives", x0.device.type, x0.dtype)
            assert kernel is not None
            found = kernel(g.contiguous(), grad, x1, x0, multiplier, ctx.kind, ctx.near)
        return None, None, None, None, *found, None, None


def kind_of_loop(rule: Rescale, call: Call, x: Tensor) -> Activation | Hyperbolic | None:
    """Return which function of the loops a call with inputs like `x` is, or None."""
    kernel = kernel_for("smooth_activations.activation_multiplier", x.device.type, x.dtype)
    if kernel is None or not x.numel() or x.is_neg():
        return None
    if isinstance(rule, SmoothActivation) and rule.kind is not None:
        return rule.kind(call)
    return Hyperbolic.TANH if call.name == "tanh" else None
