"""The transforms of ``torch.func`` hide from a mode what depends on the input: vmap is replaced, the rest refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch._functorch import apis, eager_transforms
from torch._functorch.vmap import _process_batched_inputs
from torch.overrides import has_torch_function
from torch.utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_unflatten

from seqlight.attribution.calls.call import Function
from seqlight.attribution.engine.patches import Patch
from seqlight.errors import UnsupportedOperation

# What transforms are made of, and what to call them. All are looked up when a transformed function is
# called, whoever has transformed it before.
DERIVATIVES = {
    "grad_impl": "torch.func.grad",
    "grad_and_value_impl": "torch.func.grad_and_value",
    "_vjp_with_argnums": "torch.func.vjp",
    "_jvp_with_argnums": "torch.func.jvp",
}


def _row_by_row(
    function: Function, in_dims: Any, out_dims: Any, randomness: str, chunk_size: int | None, *args: Any, **kwargs: Any
) -> Any:
    if not _watched(args):
        return _VMAP.original("vmap_impl")(function, in_dims, out_dims, randomness, chunk_size, *args, **kwargs)
    n, dims, flat, structure = _process_batched_inputs(in_dims, args, function)
    rows: list[list[Tensor]] = []
    outputs: Any = None
    for i in range(n):
        row = [leaf if dim is None else leaf.select(dim, i) for leaf, dim in zip(flat, dims, strict=True)]
        leaves, outputs = tree_flatten(function(*tree_unflatten(row, structure), **kwargs))
        rows.append(leaves)
    to = _broadcast_to_and_flatten(out_dims, outputs) or [0] * len(rows[0])
    columns = zip(zip(*rows, strict=True), to, strict=True)
    found = [column[0] if dim is None else torch.stack(column, dim) for column, dim in columns]
    return tree_unflatten(found, outputs)


def _refusing(name: str) -> Function:
    def derivative(*args: Any, **kwargs: Any) -> Any:
        if _watched((args, kwargs)):
            raise UnsupportedOperation(
                f"{DERIVATIVES[name]} takes a derivative inside the model, which cannot be explained: "
                "write the derivative out, or leave that part of the model out"
            )
        return _DERIVATIVES.original(name)(*args, **kwargs)

    return derivative


def _watched(args: Any) -> bool:
    return has_torch_function(tuple(leaf for leaf in tree_flatten(args)[0] if isinstance(leaf, Tensor)))


_VMAP = Patch(apis, {"vmap_impl": _row_by_row})
_DERIVATIVES = Patch(eager_transforms, {name: _refusing(name) for name in DERIVATIVES})


@contextlib.contextmanager
def replace_transforms() -> Iterator[None]:
    """Inside, in threads that have a mode, run ``torch.vmap`` row by row, and refuse derivatives."""
    with _VMAP.apply(), _DERIVATIVES.apply():
        yield
