"""Batch norm in evaluation mode on the CPU: a factor and a summand for each channel.

PyTorch's own backward pass also computes the gradients of its parameters, which nobody asks for here. Its result is the
same, and so is its gradient, except for rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.packed_weights import suits_packed


class BatchNorm(RuleFunction):
    """A factor and a summand for each channel, the second dimension."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor, summand: Tensor) -> Tensor:
        """Return the output."""
        ctx.save_for_backward(factor)
        return torch.addcmul(summand, x.detach(), factor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the input."""
        (factor,) = ctx.saved_tensors
        return grads[0] * factor, None, None


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return ``torch.nn.functional.batch_norm`` of the same arguments, except for rounding.

    Examples
    --------
    >>> x, mean, variance = torch.ones(1, 2, 3), torch.tensor([0.0, 1.0]), torch.ones(2)
    >>> batch_norm(x, mean, variance, eps=3.0)[0, :, 0]
    tensor([0.5000, 0.0000])
    """
    if not training and running_mean is not None and running_var is not None and input.ndim > 1:
        parameters = [one for one in (running_mean, running_var, weight, bias) if one is not None]
        if suits_packed(input, *parameters) and all(one.shape == input.shape[1:2] for one in parameters):
            factor = (running_var + eps).rsqrt_()
            factor = factor if weight is None else factor.mul_(weight)
            summand = -running_mean * factor if bias is None else torch.addcmul(bias, running_mean, factor, value=-1)
            shape = (-1, *[1] * (input.ndim - 2))
            return BatchNorm.apply(input, factor.view(shape), summand.view(shape))  # type: ignore[no-any-return]
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
