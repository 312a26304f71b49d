"""Other views of the same numbers: the change goes where its positions go."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlight.prediction.changed_windows.call import Call, of_axis
from seqlight.prediction.changed_windows.flat_windows import FlatWindows
from seqlight.prediction.changed_windows.windows import Windows, fit


def transposition(call: Call) -> Any:
    """Return two dimensions in each other's place."""
    x = call.input
    if x is None:
        return None
    a, b = call.argument(1, "dim0", call.argument(1, "axis0")), call.argument(2, "dim1", call.argument(2, "axis1"))
    order = list(range(x.reference.ndim))
    a, b = of_axis(a, len(order)), of_axis(b, len(order))
    order[a], order[b] = b, a
    return _permuted(call, x, order)


def matrix_transposition(call: Call) -> Any:
    """Return the last two dimensions in each other's place."""
    x = call.input
    if x is None or x.reference.ndim < 2:
        return None
    order = list(range(x.reference.ndim))
    return _permuted(call, x, [*order[:-2], order[-1], order[-2]])


def permutation(call: Call) -> Any:
    """Return the dimensions in another order."""
    x = call.input
    if x is None:
        return None
    args, kwargs = call.arguments
    dims = kwargs.get("dims", args[1] if len(args) == 2 and not isinstance(args[1], int) else args[1:])
    return _permuted(call, x, [of_axis(dim, x.reference.ndim) for dim in dims])


def _permuted(call: Call, x: Windows, order: list[int]) -> Any:
    if order[0] != 0:
        return None
    return call.windows(x.values.permute(order), x.starts, order.index(x.axis))


def insertion(call: Call) -> Any:
    """Return a further dimension of size 1."""
    x, dim = call.input, call.argument(1, "dim")
    if x is None:
        return None
    dim = of_axis(dim, x.reference.ndim + 1)
    return None if dim == 0 else call.windows(x.values.unsqueeze(dim), x.starts, x.axis + (dim <= x.axis))


def removal(call: Call) -> Any:
    """Return the tensor without a dimension of size 1."""
    x, dim = call.input, call.argument(1, "dim")
    if x is None or not isinstance(dim, int):
        return None
    dim = of_axis(dim, x.reference.ndim)
    if dim in (0, x.axis) or x.reference.shape[dim] != 1:
        return None
    return call.windows(x.values.squeeze(dim), x.starts, x.axis - (dim < x.axis))


def reshaping(call: Call) -> Any:
    """Return another shape, in which the positions still have a dimension of their own."""
    x, whole = call.input, _reference_of_one_row(call)
    if x is None or whole is None:
        return None
    before = x.reference.shape[1 : x.axis].numel()
    axis = next(
        (i for i in range(1, whole.ndim) if whole.shape[i] == x.length and whole.shape[1:i].numel() == before), None
    )
    if axis is None:
        flat = whole.ndim == 2 and whole.shape[1] == x.reference[0].numel()
        return FlatWindows(x, whole) if flat else None
    shape = [x.rows, *whole.shape[1:]]
    shape[axis] = x.width
    return call.windows(x.values.reshape(shape), x.starts, axis, whole)


def _reference_of_one_row(call: Call) -> Tensor | None:
    """Return the reshaped reference, where the shape that is asked for names the number of rows or leaves it open."""
    x = call.input
    if x is None or len(call.leaves) < 2 or any(isinstance(one, Tensor) for one in call.leaves[1:]):
        return None
    if call.name in ("flatten", "unflatten"):
        return _kept_rows(call.reference())
    sizes = [int(one) for one in call.leaves[1:]]
    if sizes[0] not in (x.rows, -1):
        return None
    whole = x.reference.shape.numel() * x.rows
    if -1 in sizes:
        known = -torch.Size(sizes).numel()
        if not known or whole % known:
            return None
        sizes[sizes.index(-1)] = whole // known
    if sizes[0] != x.rows or torch.Size(sizes).numel() != whole:
        return None
    return _kept_rows(call.outputs.derived(Tensor.reshape, x.reference, 1, *sizes[1:]))


def _kept_rows(found: Tensor) -> Tensor | None:
    return found if found.ndim > 1 and len(found) == 1 else None


def reversal(call: Call) -> Any:
    """Return the opposite order along dimensions, such as letters and positions of a reverse complement."""
    x = call.input
    if x is None:
        return None
    args, kwargs = call.arguments
    dims = kwargs.get("dims", args[1] if len(args) == 2 else args[1:])
    dims = [of_axis(dim, x.reference.ndim) for dim in ([dims] if isinstance(dims, int) else dims)]
    if 0 in dims:
        return None
    starts = x.length - x.starts - x.width if x.axis in dims else x.starts
    return call.windows(x.values.flip(dims), starts, x.axis)


def padding(call: Call) -> Any:
    """Return constants around the numbers."""
    x, pads = call.input, call.argument(1, "pad")
    if x is None or call.argument(2, "mode", "constant") != "constant":
        return None
    pads, last = list(pads), x.reference.ndim - 1
    at = 2 * (last - x.axis)
    if last - (len(pads) // 2 - 1) <= 0:
        return None
    left, right = pads[at : at + 2] if at < len(pads) else (0, 0)
    inner = [*pads[:at], 0, 0, *pads[at + 2 :]] if at < len(pads) else pads
    if left < 0 or right < 0:
        return None
    value = call.argument(3, "value")
    values = torch.nn.functional.pad(x.values, inner, value=value)
    return call.windows(values, x.starts + left, x.axis)


def selection(call: Call) -> Any:
    """Return slices of dimensions: of positions one without steps, as a model crops its output."""
    x, index = call.input, call.argument(1, "", None)
    if x is None:
        return None
    index = list(index) if isinstance(index, tuple) else [index]
    if not all(one is Ellipsis or isinstance(one, slice) for one in index) or index.count(Ellipsis) > 1:
        return None
    missing = x.reference.ndim - len(index) + (Ellipsis in index)
    at = index.index(Ellipsis) if Ellipsis in index else len(index)
    index = [*index[:at], *[slice(None)] * missing, *index[at + 1 :]]
    first, last, step = index[x.axis].indices(x.length)
    if index[0] != slice(None) or step != 1 or last <= first:
        return None
    found = fit(x.starts - first, x.starts - first + x.width, last - first)
    if found is None:
        return None
    index[x.axis] = slice(None)
    return call.windows(x.at(found[0] + first, found[1])[tuple(index)], found[0], x.axis)
