"""What goes back through a convolution or batch norm, with a derivative that is as fast as PyTorch's own gradients.

Both are linear in their input, so the gradient of PyTorch is the multiplier. But its derivative is not made for speed:
that of the gradient of a convolution at its input is found, with respect to the weights, by a convolution whose kernel
is as long as the sequence. It is the gradient at the weights, too, of the same convolution with other operands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Function, RuleFunction
from seqlight.prediction.convolution_padding import even_padding, of_each_dimension

DIMENSIONS: dict[Function, int] = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}
# From the gradient at the result to that at the input.
LinearPullback = Callable[[Tensor], Tensor]


class Settings(NamedTuple):
    """How a convolution is applied, with a number for each dimension."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def apply(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the convolution of `x`, without a bias."""
        return torch.convolution(
            x, weight, None, self.stride, self.padding, self.dilation, False, [0] * len(self.stride), self.groups
        )

    def gradients(self, grad: Tensor, x: Tensor, weight: Tensor, at_weight: bool) -> Tensor:
        """Return the gradient at the input `x`, of which only the shape counts then, or at the weights."""
        found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
            grad, x, weight, None, self.stride, self.padding, self.dilation, False, [0] * len(self.stride),
            self.groups, [not at_weight, at_weight, False],
        )  # fmt: skip
        return found[int(at_weight)]


class ConvolutionFunction(RuleFunction):
    """The gradient at the input of a convolution, as a function of that at its result and of its weights."""

    @staticmethod
    def forward(ctx: Any, settings: Settings, x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient at `x`, of which only the shape counts."""
        ctx.settings = settings
        ctx.save_for_backward(grad, weight)
        if x.is_cpu and len(settings.stride) == settings.groups == 1 and weight[0].numel() <= 2 * len(weight):
            return _by_columns(settings, x, grad, weight)
        return settings.gradients(grad, x, weight, at_weight=False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the gradient and at the weights."""
        (g,), (grad, weight), (*_, needs_grad, needs_weight) = grads, ctx.saved_tensors, ctx.needs_input_grad
        at_grad = ctx.settings.apply(g, weight) if needs_grad else None
        return None, None, at_grad, ctx.settings.gradients(grad, g, weight, at_weight=True) if needs_weight else None


def _by_columns(settings: Settings, x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient at the input of a convolution in 1-D: one product, whose rows are shifted and added up.

    For a few input channels, such as letters, it takes a third of the time of PyTorch's, which is made for many.
    """
    columns = weight.flatten(1).mT @ grad
    return F.fold(
        columns, (1, x.shape[-1]), (1, weight.shape[-1]),
        (1, *settings.dilation), (0, *settings.padding), (1, *settings.stride),
    ).squeeze(2)  # fmt: skip


class BatchNormFunction(RuleFunction):
    """The gradient at the input of batch norm, as a function of its weight and of the gradient at its result.

    With running statistics it is a product, whose derivatives are those of batch norm with means of 0: so one pass over
    memory finds both.
    """

    @staticmethod
    def forward(ctx: Any, eps: float, var: Tensor, weight: Tensor | None, grad: Tensor) -> Tensor:
        """Return the gradient at the input."""
        ctx.eps = eps
        ctx.save_for_backward(var, weight, grad)
        return _normalise(eps, var, weight, grad)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the weight and at the gradient."""
        (g,), (var, weight, grad), (*_, needs_weight, needs_grad) = grads, ctx.saved_tensors, ctx.needs_input_grad
        if torch.is_grad_enabled():
            at_grad = _normalise(ctx.eps, var, weight, g)
            others = [0, *range(2, g.ndim)]
            at_weight = (g * _normalise(ctx.eps, var, None, grad)).sum(others) if needs_weight else None
            return None, None, at_weight, at_grad
        at_grad, at_weight, _ = torch.ops.aten.native_batch_norm_backward(
            g, grad, weight, torch.zeros_like(var), var, None, None, False, ctx.eps, [needs_grad, needs_weight, False]
        )
        return None, None, at_weight if needs_weight else None, at_grad if needs_grad else None


def _normalise(eps: float, var: Tensor, weight: Tensor | None, x: Tensor) -> Tensor:
    rates = torch.rsqrt(var + eps)
    return x * (rates if weight is None else rates * weight).view([-1] + [1] * (x.ndim - 2))


def linear_pullback(func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LinearPullback | None:
    """Return what goes back through a call at its first operand, or None where PyTorch's own gradient does."""
    if func in DIMENSIONS:
        return _convolution(DIMENSIONS[func], *args, **kwargs)
    return _batch_norm(*args, **kwargs) if func is F.batch_norm else None


def _convolution(
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> LinearPullback | None:
    if input.ndim != n + 2 or input.is_complex() or weight.dtype != input.dtype:
        return None
    steps, gaps = of_each_dimension(stride, n), of_each_dimension(dilation, n)
    both = even_padding(padding, weight.shape[2:], gaps)
    if both is None:
        return None
    settings, shape = Settings(steps, tuple(both), gaps, groups), input.detach()
    return lambda grad: ConvolutionFunction.apply(settings, shape, grad, weight)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> LinearPullback | None:
    if training or running_var is None or input.ndim < 2:
        return None
    if any(one.dtype != input.dtype for one in (running_var, weight) if one is not None):
        return None
    var = running_var.detach()
    return lambda grad: BatchNormFunction.apply(eps, var, weight, grad)
