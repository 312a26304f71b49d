"""The functions of PyTorch that bear an operation's name, and what a name alone says about a call.

One operation has many spellings: ``nn.ReLU`` arrives as ``F.relu``, others write ``torch.relu``, ``x.relu()`` or
``x.relu_()``. So the tables are written by name.
"""

from __future__ import annotations

import types
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Operators (torch.ops) that take their arguments in the order of the functions of their names.
SAME_ARGUMENTS = frozenset({"scaled_dot_product_attention"})
# A mask may be made of what it multiplies, as in ``x * (x > 0)``.
GATES = frozenset("mul multiply __mul__ __rmul__".split())
# In-place operators, by the operation that they are.
IN_PLACE_OPERATORS = {
    "__ipow__": "pow", "__itruediv__": "div", "__idiv__": "div", "__imul__": "mul", "__imod__": "remainder",
    "__ifloordiv__": "floor_divide",
}  # fmt: skip
# Linear in-place methods. Those on a view are all one node of autograd's graph, so they are judged by name.
LINEAR_IN_PLACE = frozenset(
    """
    add_ sub_ subtract_ neg_ negative_ copy_ zero_ fill_ __iadd__ __isub__ index_add_ index_copy_ index_fill_ index_put_
    scatter_ scatter_add_ masked_scatter_ squeeze_ unsqueeze_ transpose_ t_ swapaxes_ swapdims_ as_strided_ detach_
    requires_grad_ retain_grad_ tril_ triu_ cumsum_ resize_ resize_as_ set_
    conj_physical_ deg2rad_ rad2deg_ __setitem__
    """.split()
)
_NOT_IN_PLACE = frozenset("__init__ __index__ __int__ __invert__ __iter__".split())


def spellings(name: str) -> list[Any]:
    """Return all functions of PyTorch of this name.

    Examples
    --------
    >>> spellings("relu") == [torch.relu, F.relu, Tensor.relu]
    True
    """
    namespaces: tuple[Any, ...] = (torch, F, Tensor, torch.special, torch.linalg)
    found = [getattr(namespace, name) for namespace in namespaces if hasattr(namespace, name)]
    # Modules have comparisons of their own, which compare modules.
    others = types.ModuleType, types.MethodWrapperType
    return [function for function in found if callable(function) and not isinstance(function, others)]


@cache
def writes_in_place(name: str) -> bool:
    """Return whether the function with this name writes to its first argument.

    >>> [name for name in ("add_", "__iadd__", "__setitem__", "__int__", "__add__", "add") if writes_in_place(name)]
    ['add_', '__iadd__', '__setitem__']
    """
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in _NOT_IN_PLACE)
    return name.endswith("_")


def hides_in_place(function: Any) -> bool:
    """Return whether a function that is not in the table writes to its argument in a way that is not linear."""
    # Only names are kept: a function may be made for one call, and hold a model or its tensors.
    return _hides_in_place(getattr(function, "__name__", ""))


@cache
def _hides_in_place(name: str) -> bool:
    return writes_in_place(name) and name not in LINEAR_IN_PLACE
