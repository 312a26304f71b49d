"""Replace vmap and refuse the other transforms of ``torch.func``: they hide dependence on the input from a mode."""

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

# The functions behind the transforms, with their public names. Transformed functions look them up at each call,
# so it does not matter when they were transformed.
DERIVATIVES = {
    "grad_impl": "torch.func.grad",
    "grad_and_value_impl": "torch.func.grad_and_value",
    "_vjp_with_argnums": "torch.func.vjp",
    "_jvp_with_argnums": "torch.func.jvp",
}


def _map_rows(
    function: Function, in_dims: Any, out_dims: Any, randomness: str, chunk_size: int | None, *args: Any, **kwargs: Any
) -> Any:
    if not _is_seen_by_a_mode(args):
        return _VMAP.original("vmap_impl")(function, in_dims, out_dims, randomness, chunk_size, *args, **kwargs)
    n, dims, flat, structure = _process_batched_inputs(in_dims, args, function)
    rows: list[list[Tensor]] = []
    outputs: Any = None
    for i in range(n):
        row = [leaf if dim is None else leaf.select(dim, i) for leaf, dim in zip(flat, dims, strict=True)]
        leaves, outputs = tree_flatten(function(*tree_unflatten(row, structure), **kwargs))
        rows.append(leaves)
    out = _broadcast_to_and_flatten(out_dims, outputs) or [0] * len(rows[0])
    columns = zip(zip(*rows, strict=True), out, strict=True)
    stacked = [column[0] if dim is None else torch.stack(column, dim) for column, dim in columns]
    return tree_unflatten(stacked, outputs)


def _make_refusal(name: str) -> Function:
    def derivative(*args: Any, **kwargs: Any) -> Any:
        if _is_seen_by_a_mode((args, kwargs)):
            raise UnsupportedOperation(
                f"{DERIVATIVES[name]} takes a derivative inside the model, which cannot be explained: "
                "write the derivative out, or leave that part of the model out."
            )
        return _DERIVATIVES.original(name)(*args, **kwargs)

    return derivative


def _is_seen_by_a_mode(args: Any) -> bool:
    return has_torch_function(tuple(leaf for leaf in tree_flatten(args)[0] if isinstance(leaf, Tensor)))


_VMAP = Patch(apis, {"vmap_impl": _map_rows})
_DERIVATIVES = Patch(eager_transforms, {name: _make_refusal(name) for name in DERIVATIVES})


@contextlib.contextmanager
def replace_transforms() -> Iterator[None]:
    """Inside, in threads that have a mode, run ``torch.vmap`` row by row, and refuse derivatives."""
    with _VMAP.apply(), _DERIVATIVES.apply():
        yield
