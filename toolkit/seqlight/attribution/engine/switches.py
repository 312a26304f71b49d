"""Results with two ways back: through their operation, or past it, times a multiplier that can be differentiated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seqlight.attribution.calls.call import Call, RuleFunction
from seqlight.attribution.rules import pullbacks, recurrent_pullbacks, row_pullbacks
from seqlight.attribution.rules.attention import Attention
from seqlight.attribution.rules.attention_multiplier import AttentionFunction
from seqlight.attribution.rules.constants import Hold
from seqlight.attribution.rules.elementwise import Rescale
from seqlight.attribution.rules.layer_norm import LayerNorm
from seqlight.attribution.rules.order_statistics import Selection
from seqlight.attribution.rules.pooled_maxima import pooled_maxima
from seqlight.attribution.rules.pooling import MaxPool
from seqlight.attribution.rules.product import Product, matrix_vjp, product_vjp
from seqlight.attribution.rules.pullbacks import Observed
from seqlight.attribution.rules.quotient import Quotient
from seqlight.attribution.rules.recurrence import Recurrence
from seqlight.attribution.rules.recurrent_pullbacks import observe_layer
from seqlight.attribution.rules.softmax import Softmax
from seqlight.attribution.rules.special_functions import no_slope
from seqlight.attribution.rules.switch import Switch, switch_pullback
from seqlight.attribution.rules.where import Choose
from seqlight.errors import UnsupportedOperation

Pullback = Callable[[Observed, Observed, Sequence[Any]], list[Tensor]]


@dataclass
class Phase:
    """Whether gradients go by multipliers at present, or by derivatives."""

    multiplies: bool = False


class SwitchFunction(RuleFunction):
    """A result with two ways back: past its operation, times the multiplier, or through it."""

    @staticmethod
    def forward(ctx: Any, phase: Phase, pullback: Any, outputs: int, *of: Tensor) -> Any:
        """Return the results of an operation, which come before its operands."""
        ctx.phase, ctx.pullback, ctx.outputs = phase, pullback, outputs
        ctx.set_materialize_grads(False)
        ys = tuple(y.detach() for y in of[:outputs])
        return ys if outputs > 1 else ys[0]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return the gradients at results, or at operands."""
        others = len(ctx.needs_input_grad) - 3
        if all(one is None for one in grads):
            return (None,) * (3 + others)
        if ctx.phase.multiplies:
            return None, None, None, *(None,) * ctx.outputs, *ctx.pullback(grads)
        return None, None, None, *grads, *(None,) * (others - ctx.outputs)


def observe(rule: Any, call: Call, known: Any = None) -> Observed:
    """Make a call that a rule explains, unless its result is known."""
    if isinstance(rule, Hold):
        return Observed(call, call.tensors, call.tensors[:1])
    if isinstance(rule, Recurrence):
        return observe_layer(call)
    if isinstance(known, Tensor) and isinstance(rule, MaxPool):
        found = known, compute(rule, call)[1]
    else:
        found = compute(rule, call) if known is None else known
    return Observed(call, call.tensors, tuple(found) if isinstance(found, tuple | list) else (found,))


def compute(rule: Any, call: Call) -> Any:
    """Return the result of a call in the graph; UnsupportedOperation if PyTorch knows no derivative of it."""
    if isinstance(rule, Rescale) and rule.slope is no_slope:
        y = call(*(one.detach() for one in call.tensors))
        if bool((y != y.round()).any()):  # no step, but a function of which no derivative is known
            raise refusal("a function without a derivative" if call.name == "slopeless" else call.name)
        return y
    if isinstance(rule, MaxPool) and (maxima := pooled_maxima(call)) is not None:
        return maxima
    if isinstance(rule, Attention):
        query, key, value, bias, scale = call.arguments()[0]
        return AttentionFunction.apply(bias, scale, query, key, value)
    if isinstance(rule, Switch):  # of constants alone it has no derivative, as a step has none
        return call(*call.tensors)
    # A layer norm copies what lies across memory; made here, the copy serves the multiplier and the gradient as well.
    tensors = [one.contiguous() for one in call.tensors] if isinstance(rule, LayerNorm) else call.tensors
    try:
        found = call(*tensors)
    except NotImplementedError:
        raise refusal(call.name) from None
    y = found[0] if isinstance(found, tuple | list) else found
    if not _is_derived(y.grad_fn):
        raise refusal(call.name)
    return found


def _is_derived(node: Any) -> bool:
    """Return whether PyTorch knows the derivative of what a node stands for."""
    return node is not None and node.name() != "NotImplemented"


def pullback_of(rule: Any, call: Call) -> Pullback:
    """Return what goes back through calls that a rule explains; UnsupportedOperation if that has no derivative."""
    match rule:
        case Rescale():
            return lambda *of: pullbacks.rescale(rule, *of)
        case Product():
            if rule.vjp is product_vjp:
                return pullbacks.elementwise_product
            return pullbacks.matrix_product if rule.vjp is matrix_vjp else pullbacks.product
        case Quotient():
            return pullbacks.quotient
        case Choose():
            return lambda *of: pullbacks.choose(rule, *of)
        case MaxPool():
            return lambda *of: row_pullbacks.max_pool(rule, *of)
        case Selection():
            return lambda *of: row_pullbacks.select(rule, *of)
        case Switch():
            return switch_pullback
        case Softmax():
            return lambda *of: row_pullbacks.softmax(rule, *of)
        case Attention():
            return row_pullbacks.attention
        case LayerNorm():
            return row_pullbacks.layer_norm
        case Recurrence():
            return recurrent_pullbacks.layer
        case Hold():
            return hold
    raise refusal(call.name)


def hold(sequence: Observed, reference: Observed, grads: Sequence[Tensor]) -> list[Tensor]:
    """Stand for what is held constant, which has no switch."""
    raise AssertionError


def refusal(name: str) -> UnsupportedOperation:
    """Return the error for an operation without a multiplier that can be differentiated."""
    return UnsupportedOperation(
        f"{name} has no multiplier that can be differentiated: replace the operation, or take attributions without a "
        "graph from deep_lift_shap."
    )
