"""Attention and the multiplier of attention as single nodes of autograd's graph, by the compiled loops.

Without them attention is written in two products and a softmax, each of which is a node with tensors as large as all
scores, in three passes. The derivatives are those of ``product.py`` and ``softmax.py``; where they are themselves
differentiated, the formulas are taken after all.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, RuleFunction
from seqlight.attribution.calls.partners import batch_dimension, repeat_like
from seqlight.attribution.kernels.attention import Operands, Recording, Settings, require_pairs, suits
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.logarithmic_mean import nearness
from seqlight.attribution.rules.multiplier_functions import differentiate_formula
from seqlight.attribution.rules.softmax_multiplier import softmax_formula


class AttentionFunction(RuleFunction):
    """Attention, with its own derivative.

    Parameters of :meth:`forward`: what is added to the scores or None, and what they are multiplied by; the operands.
    """

    @staticmethod
    def forward(ctx: Any, bias: Tensor | None, scale: float, *operands: Tensor) -> Tensor:
        """Return the attention."""
        y, seen = _kernel("attention.record", operands[0])(Operands(*operands), Settings(bias, scale))
        ctx.scale = scale
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(bias, *seen[:6])
        return y  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        if grads[0] is None:  # while multipliers go past the operation
            return (None,) * 5
        bias, *seen = ctx.saved_tensors
        if torch.is_grad_enabled():
            formula = partial(_attention_formula, bias, ctx.scale)
            return None, None, *differentiate_formula(formula, seen[:3], grads[0], ctx.needs_input_grad[2:])
        return None, None, *_kernel("attention.attention_slopes", grads[0])(grads[0], Recording(*seen), ctx.scale)


class AttentionMultiplierFunction(RuleFunction):
    """The gradients at query, key and value: by the products half way, and the multiplier of the softmax between them.

    Parameters of :meth:`forward`: what is added to the scores of sequences and of references, or None, and the scale;
    what was recorded of both; the gradient at the attention, and the operands of both.
    """

    @staticmethod
    def forward(
        ctx: Any,
        biases: tuple[Tensor | None, Tensor | None],
        scale: float,
        seen: Recording,
        own: Recording,
        grad: Tensor,
        *operands: Tensor,
    ) -> Operands:
        """Return the gradients at the operands of the references."""
        others = Operands(*operands[3:])
        require_pairs(seen, others)
        ctx.scale = scale
        ctx.save_for_backward(*biases, grad, *operands, *seen[:6], *own[3:6])
        settings = Settings(biases[1], scale)
        found: Operands = _kernel("attention.attention_vjp", grad)(
            grad, seen, others, own, settings, nearness(grad.dtype)
        )
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the gradient and at all operands."""
        bias1, bias0, *of = ctx.saved_tensors
        nothing = (None,) * 4
        if torch.is_grad_enabled():
            formula = partial(attention_formula, bias1, bias0, ctx.scale)
            return *nothing, *differentiate_formula(formula, of[:7], grads, ctx.needs_input_grad[4:])
        seen, own = Recording(*of[7:13]), Recording(*of[4:7], *of[13:])
        derive = _kernel("attention.attention_derivatives", grads[0])
        at_grad, at_1, at_0 = derive(Operands(*grads), of[0], seen, own, ctx.scale, nearness(of[0].dtype))
        return *nothing, at_grad, *map(_over_references, at_1, of[1:4]), *at_0


def _kernel(step: str, x: Tensor) -> Any:
    found = kernel_for(step, x.device.type, x.dtype)
    assert found is not None
    return found


def recording_of(call: Call, y: Tensor) -> Recording:
    """Return what is recorded of a call and its result; if another function made that, it is computed again."""
    query, key, value, bias, scale = call.arguments()[0]
    if getattr(type(y.grad_fn), "_forward_cls", None) is AttentionFunction:  # its node is its context
        return Recording(*y.grad_fn.saved_tensors[1:])  # type: ignore[union-attr]
    operands = Operands(*(one.detach() for one in (query, key, value)))
    seen: Recording = _kernel("attention.record", query)(operands, Settings(bias, scale))[1]
    return seen


def has_loops(call: Call) -> bool:
    """Return whether the loops take a call of :func:`attend`, all of whose operands depend on the input."""
    query, key, value, bias, _ = call.arguments()[0]
    is_one = kernel_for("attention.attention_derivatives", query.device.type, query.dtype) is not None
    return is_one and call.dependent == (0, 1, 2) and suits(Operands(query, key, value), bias)


def attend_in_parts(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """Return what :func:`attend` does, in the products and the softmax that it consists of."""
    scores = query * scale @ key.transpose(-2, -1)
    return torch.softmax(scores if bias is None else scores + bias, -1) @ value


def _over_references(at: Tensor, sequence: Tensor) -> Tensor:
    """Return the sum of the gradients that the references of a sequence give it."""
    dimension = batch_dimension(sequence, at)
    return at if dimension is None else torch.unflatten(at, dimension[0], (dimension[1], -1)).sum(dimension[0])


def _attention_formula(bias: Tensor | None, scale: float, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return _scores(bias, scale, query, key).softmax(-1) @ value


def attention_formula(
    bias1: Tensor | None, bias0: Tensor | None, scale: float, grad: Tensor, *operands: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same as :class:`AttentionMultiplierFunction` in formulas that autograd can differentiate."""
    ones, others = operands[:3], operands[3:]
    x1, x0 = _scores(bias1, scale, *ones[:2]), _scores(bias0, scale, *others[:2])
    x1 = repeat_like(x1, x0)
    query, key, value = (torch.lerp(b, repeat_like(a, b), 0.5) for a, b in zip(ones, others, strict=True))
    at_scores = softmax_formula(x0.ndim - 1, grad @ value.mT, x1, x0) * scale
    half = torch.lerp(x0.softmax(-1), x1.softmax(-1), 0.5)
    return at_scores @ key, at_scores.mT @ query, half.mT @ grad


def _scores(bias: Tensor | None, scale: float, query: Tensor, key: Tensor) -> Tensor:
    scores = query * scale @ key.mT
    return scores if bias is None else scores + bias
