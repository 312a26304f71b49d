"""Order statistics, running extremes and the mode, in selections that have rules.

The indices are those of PyTorch's own call, the values those of a row that is sorted as a whole.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.function_bodies import operation
from seqlight.attribution.rules.reductions import amax, amin, dimensions, flatten_last, keep_dimensions


@operation
def sorted_over_last(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last dimension in ascending order, and where its values come from."""
    found = torch.sort(x, dim=-1, stable=True)
    return found.values, found.indices


@operation
def running_max_over_last(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest so far, and where it is."""
    found = torch.cummax(x, dim=-1)
    return found.values, found.indices


@operation
def mode_over_last(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the commonest value of the last dimension, which stays, and where it is."""
    found = torch.mode(x, dim=-1, keepdim=True)
    return found.values, found.indices


def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
    """Sort, in any of its spellings."""
    indices = torch.sort(input.detach(), dim=dim, descending=descending, stable=bool(stable)).indices
    y = _ascending(input, dim)
    return torch.return_types.sort(((y.flip(-1) if descending else y).movedim(-1, dim), indices))


def msort(input: Tensor) -> Tensor:
    """Sort the first dimension."""
    return _ascending(input, 0).movedim(-1, 0)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """Take the first of the sorted; in order also where the order is left open, so that ranks meet ranks."""
    indices = torch.topk(input.detach(), k, dim, largest, True).indices
    y = _ascending(input, dim)
    return torch.return_types.topk(((y.flip(-1) if largest else y)[..., :k].movedim(-1, dim), indices))


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """Take one of the sorted."""
    indices = torch.kthvalue(input.detach(), k, dim, keepdim).indices
    return torch.return_types.kthvalue((_place(_ascending(input, dim)[..., k - 1 : k], dim, keepdim), indices))


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Take the one in the middle, of two the lower."""
    if dim is None:
        return median(input.flatten(), 0)[0]
    indices = torch.median(input.detach(), dim, keepdim).indices
    y = _ascending(input, dim)
    middle = (y.shape[-1] - 1) // 2
    return torch.return_types.median((_place(y[..., middle : middle + 1], dim, keepdim), indices))


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Take the one in the middle of those that are numbers."""
    if dim is None:
        return nanmedian(input.flatten(), 0)[0]
    indices = torch.nanmedian(input.detach(), dim, keepdim).indices
    y = _ascending(input, dim)
    middle = ((~y.detach().isnan()).sum(-1, keepdim=True) - 1).clamp_min(0) // 2
    return torch.return_types.nanmedian((_place(y.gather(-1, middle), dim, keepdim), indices))


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """Interpolate between two of the sorted."""
    return _quantile(input, q, dim, keepdim, interpolation, False)


def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """Interpolate between two of those that are numbers."""
    return _quantile(input, q, dim, keepdim, interpolation, True)


def _quantile(x: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip: bool) -> Tensor:
    dims = dimensions(x, dim)
    y = sorted_over_last(flatten_last(x, dims))[0]
    wanted = torch.as_tensor(q, dtype=x.dtype, device=x.device)
    known = (~y.detach().isnan()).sum(-1, keepdim=True) if skip else y.new_full((), y.shape[-1])
    at = (wanted.reshape(-1) * (known - 1).clamp_min(0).to(x.dtype)).expand(*y.shape[:-1], -1)
    at = {"lower": torch.floor, "higher": torch.ceil, "nearest": torch.round}.get(interpolation, torch.clone)(at)
    below, above = at.floor(), at.ceil()
    share = 0.5 if interpolation == "midpoint" else at - below
    low, high = (y.gather(-1, one.long()) for one in (below, above))
    found = low + (high - low) * share
    each = [keep_dimensions(one, x, dims) if keepdim else one for one in found.unbind(-1)]
    return torch.stack(each) if wanted.ndim else each[0]


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """Take the smallest and the largest."""
    found = amin(input, dim, keepdim), amax(input, dim, keepdim)
    return torch.return_types.aminmax(found)


def cummax(input: Tensor, dim: int) -> Any:
    """Take the largest so far."""
    values, indices = running_max_over_last(input.movedim(dim, -1))
    return torch.return_types.cummax((values.movedim(-1, dim), indices.movedim(-1, dim)))


def cummin(input: Tensor, dim: int) -> Any:
    """Take the smallest so far."""
    values, indices = running_max_over_last(-input.movedim(dim, -1))
    return torch.return_types.cummin((-values.movedim(-1, dim), indices.movedim(-1, dim)))


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """Take the commonest value."""
    values, indices = mode_over_last(input.movedim(dim, -1))
    return torch.return_types.mode((_place(values, dim, keepdim), _place(indices, dim, keepdim)))


def _ascending(x: Tensor, dim: int) -> Tensor:
    y: Tensor = sorted_over_last(x.movedim(dim, -1))[0]
    return y


def _place(y: Tensor, dim: int, keepdim: bool) -> Tensor:
    """Return `y`, whose last dimension of size 1 stands for `dim`, with it back in place or without it."""
    return y.movedim(-1, dim) if keepdim else y.squeeze(-1)
