"""What a call of PyTorch takes and returns, as flat lists, without the cost of flattening what is flat."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten

from seqlight.attribution.calls.call import CONTAINERS, may_contain_tensors


def flatten_arguments(args: Any, kwargs: Any) -> tuple[list[Any], Any]:
    """Return all arguments, and a structure that is equal for calls with the same nesting and names.

    Containers without tensors, such as shapes, stay whole unless another one holds tensors.

    Examples
    --------
    >>> flatten_arguments((1, (2, 3)), {"dim": 0})
    ([1, (2, 3), 0], (2, 'dim'))
    """
    leaves = [*args, *kwargs.values()]
    if any(isinstance(one, CONTAINERS) and may_contain_tensors(one) for one in leaves):
        return tree_flatten((args, kwargs))
    return leaves, (len(args), *kwargs)


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
    return [one for one in tree_flatten(value)[0] if isinstance(one, Tensor)]
