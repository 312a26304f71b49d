"""What a call of PyTorch takes and returns, as flat lists, without the cost of flattening what is flat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

CONTAINERS = (tuple, list, dict)
_TENSOR_OR_CONTAINER = (Tensor, *CONTAINERS)
# How to restore arguments: the names of the last of them, the others being positional; PyTorch's own of nested tensors.
Structure: TypeAlias = tuple[str, ...] | TreeSpec


def may_contain_tensors(argument: Any) -> bool:
    """Return whether an argument is a container that may hold tensors; shapes and the like do not."""
    if not isinstance(argument, CONTAINERS):
        return False
    return isinstance(argument, dict) or any(isinstance(item, _TENSOR_OR_CONTAINER) for item in argument)


def flatten_arguments(args: Any, kwargs: Any) -> tuple[list[Any], Structure]:
    """Return all arguments, and a structure that is equal for calls with the same nesting and names.

    Containers without tensors, such as shapes, stay whole unless another one holds tensors.

    Examples
    --------
    >>> flatten_arguments((1, (2, 3)), {"dim": 0})
    ([1, (2, 3), 0], ('dim',))
    """
    leaves = [*args, *kwargs.values()]
    for leaf in leaves:
        if isinstance(leaf, CONTAINERS) and may_contain_tensors(leaf):
            return tree_flatten((args, kwargs))
    # The common case: tree_flatten takes longer than many an operation.
    return leaves, tuple(kwargs)


def restore_arguments(leaves: Sequence[Any], structure: Structure) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional arguments and those by name that were flattened.

    Examples
    --------
    >>> restore_arguments(*flatten_arguments((1, (2, 3)), {"dim": 0}))
    ((1, (2, 3)), {'dim': 0})
    """
    if isinstance(structure, tuple):
        n = len(leaves) - len(structure)
        return tuple(leaves[:n]), dict(zip(structure, leaves[n:], strict=True))
    args, kwargs = tree_unflatten(leaves, structure)
    return args, kwargs


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors that a call returned, in whatever holds them.

    Examples
    --------
    >>> import torch
    >>> tensors_in((torch.zeros(1), [None, 3]))
    [tensor([0.])]
    """
    if isinstance(value, Tensor):
        return [value]
    if not isinstance(value, CONTAINERS) or not may_contain_tensors(value):
        return []
    if type(value) in (tuple, list) and all(isinstance(one, Tensor) for one in value):
        return list(value)
    return [one for one in tree_flatten(value)[0] if isinstance(one, Tensor)]
