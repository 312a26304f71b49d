"""Max pooling over the last dimension with positions by the compiled loops, which are faster than PyTorch at that."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call, RuleFunction
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules.pooled_windows import Window, window_of


class PooledMaximaFunction(RuleFunction):
    """Maxima of windows, and their positions, which have no gradient."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, winners: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return `y` and `winners`, as the maxima of the windows of `x`."""
        # What is returned as it was given is a view, to which a model may not write.
        y, winners = y.data, winners.data
        ctx.save_for_backward(winners)
        ctx.shape = x.shape
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(winners)
        return y, winners

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradient at the inputs: that of each window at the position of its maximum."""
        if grads[0] is None:  # while multipliers go past the operation
            return None, None, None
        (winners,) = ctx.saved_tensors
        return None, None, grads[0].new_zeros(ctx.shape).scatter_add_(-1, winners, grads[0])


def pooled_maxima(call: Call) -> tuple[Tensor, Tensor] | None:
    """Return what a call of max pooling in 1-D returns, in the graph; None if no compiled loop serves it.

    Of equal maxima the first is reported, as by PyTorch.
    """
    if call.function is not F.max_pool1d_with_indices:
        return None
    (x,), window = call.tensors, window_of(call)
    kernel = kernel_for("pooling.maxima", x.device.type, x.dtype)
    if kernel is None or window is None:
        return None
    found: tuple[Tensor, Tensor] | None = kernel(x.detach(), _count_windows(call, window, x), window)
    return None if found is None else PooledMaximaFunction.apply(*found, x)


def _count_windows(call: Call, window: Window, x: Tensor) -> int:
    """Return how many windows there are, which PyTorch knows without looking at numbers."""
    args, kwargs = call.arguments()
    kept = {name: value for name, value in kwargs.items() if name not in ("return_indices", "input")}
    return torch.max_pool1d(x.new_empty(x.shape, device="meta"), *args[1:6], **kept).shape[-1]
