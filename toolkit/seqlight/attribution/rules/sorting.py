"""Order statistics, running extremes and the mode, written as selections, whose rules are in ``order_statistics.py``.

Indices come from PyTorch's own call, values from the row sorted as a whole.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.rules.reductions import amax, amin, dimensions, flatten_last, keep_dimensions


@as_operation
def sorted_over_last(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return `x` in ascending order over its last dimension, and the positions that the values had."""
    found = torch.sort(x, dim=-1, stable=True)
    return found.values, found.indices


@as_operation
def running_max_over_last(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the running maxima over the last dimension, and their positions."""
    found = torch.cummax(x, dim=-1)
    return found.values, found.indices


@as_operation
def mode_over_last(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the most frequent value of the last dimension, which stays with size 1, and its position."""
    found = torch.mode(x, dim=-1, keepdim=True)
    return found.values, found.indices


def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
    """Return the sorted values and their indices, for any spelling of sort."""
    indices = torch.sort(input.detach(), dim=dim, descending=descending, stable=bool(stable)).indices
    y = _sorted(input, dim)
    return torch.return_types.sort(((y.flip(-1) if descending else y).movedim(-1, dim), indices))


def msort(input: Tensor) -> Tensor:
    """Return `input` sorted over its first dimension."""
    return _sorted(input, 0).movedim(-1, 0)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """Return the k largest or smallest values, always in order, so that equal ranks are compared with each other."""
    indices = torch.topk(input.detach(), k, dim, largest, True).indices
    y = _sorted(input, dim)
    return torch.return_types.topk(((y.flip(-1) if largest else y)[..., :k].movedim(-1, dim), indices))


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """Return the k-th smallest value."""
    indices = torch.kthvalue(input.detach(), k, dim, keepdim).indices
    return torch.return_types.kthvalue((_restore_dimension(_sorted(input, dim)[..., k - 1 : k], dim, keepdim), indices))


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the median; of two in the middle, the lower one."""
    if dim is None:
        return median(input.flatten(), 0)[0]
    indices = torch.median(input.detach(), dim, keepdim).indices
    y = _sorted(input, dim)
    middle = (y.shape[-1] - 1) // 2
    return torch.return_types.median((_restore_dimension(y[..., middle : middle + 1], dim, keepdim), indices))


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the median of the values that are not NaN."""
    if dim is None:
        return nanmedian(input.flatten(), 0)[0]
    indices = torch.nanmedian(input.detach(), dim, keepdim).indices
    y = _sorted(input, dim)
    middle = ((~y.detach().isnan()).sum(-1, keepdim=True) - 1).clamp_min(0) // 2
    return torch.return_types.nanmedian((_restore_dimension(y.gather(-1, middle), dim, keepdim), indices))


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """Return quantiles, interpolated between two sorted values."""
    return _quantile(input, q, dim, keepdim, interpolation, False)


def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """Return quantiles of the values that are not NaN."""
    return _quantile(input, q, dim, keepdim, interpolation, True)


def _quantile(x: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip: bool) -> Tensor:
    dims = dimensions(x, dim)
    y = sorted_over_last(flatten_last(x, dims))[0]
    shares = torch.as_tensor(q, dtype=x.dtype, device=x.device)
    known = (~y.detach().isnan()).sum(-1, keepdim=True) if skip else y.new_full((), y.shape[-1])
    at = (shares.reshape(-1) * (known - 1).clamp_min(0).to(x.dtype)).expand(*y.shape[:-1], -1)
    at = {"lower": torch.floor, "higher": torch.ceil, "nearest": torch.round}.get(interpolation, torch.clone)(at)
    below, above = at.floor(), at.ceil()
    share = 0.5 if interpolation == "midpoint" else at - below
    low, high = (y.gather(-1, one.long()) for one in (below, above))
    found = low + (high - low) * share
    # Not unbind: a model may write to what it gets, and several views of one call do not allow that.
    each = [found.select(-1, i) for i in range(found.shape[-1])]
    each = [keep_dimensions(one, x, dims) if keepdim else one for one in each]
    return torch.stack(each) if shares.ndim else each[0]


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the smallest and the largest value."""
    found = amin(input, dim, keepdim), amax(input, dim, keepdim)
    return torch.return_types.aminmax(found)


def cummax(input: Tensor, dim: int) -> Any:
    """Return the running maximum."""
    return torch.return_types.cummax(_running_max(input, dim))


def cummin(input: Tensor, dim: int) -> Any:
    """Return the running minimum."""
    values, indices = _running_max(-input, dim)
    return torch.return_types.cummin((-values, indices))


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """Return the most frequent value."""
    values, indices = mode_over_last(input.movedim(dim, -1))
    return torch.return_types.mode(
        (_restore_dimension(values, dim, keepdim), _restore_dimension(indices, dim, keepdim))
    )


def _running_max(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    found = running_max_over_last(torch.atleast_1d(x).movedim(dim, -1))  # type: ignore[no-untyped-call]
    values, indices = (one.movedim(-1, dim).reshape(x.shape) for one in found)
    return values, indices


def _sorted(x: Tensor, dim: int) -> Tensor:
    y: Tensor = sorted_over_last(x.movedim(dim, -1))[0]
    return y


def _restore_dimension(y: Tensor, dim: int, keepdim: bool) -> Tensor:
    """Return `y` with its last dimension, of size 1, moved to `dim` or removed."""
    return y.movedim(-1, dim) if keepdim else y.squeeze(-1)
