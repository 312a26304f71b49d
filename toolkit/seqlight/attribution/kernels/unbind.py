"""``torch.unbind`` with a gradient that lies in memory as the tensor did.

Heads of attention are commonly made by ``q, k, v = x.unflatten(...).permute(...)``. PyTorch stacks their gradients,
then copies the stack into the layout that the layer before needs. The gradients of ``kernels/attention.py`` already lie
in one piece, as slices of that layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import RuleFunction
from seqlight.attribution.kernels.memory_layout import fills


class Unbound(RuleFunction):
    """The slices of a tensor, whose gradients are slices of the tensor's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Any:
        """Return the slices."""
        ctx.dim, ctx.shape, ctx.strides = dim, x.shape, x.stride()
        ctx.set_materialize_grads(False)
        return x.unbind(dim)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        """Return the gradient at the tensor."""
        if all(one is None for one in grads):
            return None, None
        join = Joined.apply if torch.is_grad_enabled() else _join
        return join(ctx.dim, ctx.shape, ctx.strides, *grads), None


class Joined(RuleFunction):
    """The tensor whose slices are given, with the gradients of slices."""

    @staticmethod
    def forward(ctx: Any, dim: int, shape: torch.Size, strides: Sequence[int], *slices: Tensor | None) -> Tensor:
        """Return the tensor, which has 0 where there is no slice."""
        ctx.dim = dim
        return _join(dim, shape, strides, *slices)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the slices."""
        each = zip(grads[0].unbind(ctx.dim), ctx.needs_input_grad[3:], strict=True)
        return None, None, None, *(one if is_needed else None for one, is_needed in each)


def _join(dim: int, shape: torch.Size, strides: Sequence[int], *slices: Tensor | None) -> Tensor:
    whole = _tensor_of_slices(slices, shape, strides, dim)
    if whole is not None:
        return whole
    like = next(one for one in slices if one is not None)
    out = torch.empty_strided(shape, strides, dtype=like.dtype, device=like.device)
    for slice_, given in zip(out.unbind(dim), slices, strict=True):
        slice_.zero_() if given is None else slice_.copy_(given)
    return out


def _tensor_of_slices(
    grads: Sequence[Tensor | None], shape: torch.Size, strides: Sequence[int], dim: int
) -> Tensor | None:
    """Return the tensor of this shape and these strides whose slices the gradients are, or None if they are not."""
    first, *_ = grads
    if first is None or first.storage_offset() or first.untyped_storage().nbytes() != shape.numel() * first.itemsize:
        return None
    at, mine = first.untyped_storage().data_ptr(), (*strides[:dim], *strides[dim + 1 :])
    for i, one in enumerate(grads):
        if one is None or one.stride() != mine or one.untyped_storage().data_ptr() != at:
            return None
        if one.storage_offset() != i * strides[dim]:
            return None
    return first.as_strided(shape, strides)


UNBIND = frozenset((torch.unbind, Tensor.unbind))


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Return ``torch.unbind`` of the same arguments.

    Examples
    --------
    >>> [one.tolist() for one in unbind(torch.arange(4).view(2, 2), 1)]
    [[0, 2], [1, 3]]
    """
    if not (input.requires_grad and input.ndim > 1 and is_permuted(input)):
        return torch.unbind(input, dim)
    return Unbound.apply(input, dim % input.ndim)  # type: ignore[no-any-return]


def iterate(self: Tensor) -> Iterator[Tensor]:
    """Return ``iter`` of a tensor."""
    return iter(unbind(self)) if self.ndim else iter(self)


def is_permuted(x: Tensor) -> bool:
    """Return whether `x` covers one piece of memory, with its dimensions in another order."""
    return x.layout == torch.strided and not x.is_contiguous() and x.numel() > 0 and fills(x.shape, x.stride())
