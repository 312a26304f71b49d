"""Comparisons, and what logic makes of them, as functions of numbers whose values are 0 and 1.

A comparison of two numbers is a step of their difference, and steps have a rule: their secant. The logic of truth
values is arithmetic of 0 and 1.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Function
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.rules.special_functions import slopeless

_OPERATORS: dict[str, Function] = {
    **dict.fromkeys(("gt", "greater"), operator.gt),
    **dict.fromkeys(("lt", "less"), operator.lt),
    **dict.fromkeys(("ge", "greater_equal"), operator.ge),
    **dict.fromkeys(("le", "less_equal"), operator.le),
    **dict.fromkeys(("ne", "not_equal"), operator.ne),
    "eq": operator.eq,
}


def compare(name: str, a: Any, b: Any) -> Tensor:
    """Return a comparison as 0 or 1, in the dtype of the difference of both.

    Parameters
    ----------
    name : str
        That of a function of PyTorch, such as ``gt``, ``greater`` or ``__gt__``.
    a, b : torch.Tensor or number
        At least one of them a tensor.

    Examples
    --------
    >>> compare("__ge__", torch.tensor([1.0, 2.0, 3.0]), 2)
    tensor([0., 1., 1.])
    """
    found = _OPERATORS[name.strip("_")]
    y: Tensor = slopeless(_number(a) - _number(b), lambda d: found(d, 0).to(d.dtype))
    return y


def negate(a: Tensor) -> Tensor:
    """Return 1 for 0, and 0 for 1."""
    return 1 - a


def both(a: Tensor, b: Any) -> Tensor:
    """Return 1 where both are."""
    y: Tensor = a * _number(b)
    return y


def either(a: Tensor, b: Any) -> Tensor:
    """Return 1 where any of both is."""
    y: Tensor = 1 - (1 - a) * (1 - _number(b))
    return y


def unlike(a: Tensor, b: Any) -> Tensor:
    """Return 1 where exactly one of both is."""
    y: Tensor = a + _number(b) - 2 * a * _number(b)
    return y


def _number(a: Any) -> Any:
    """Return truth values as numbers, with which PyTorch subtracts."""
    if isinstance(a, bool):
        return int(a)
    return a.to(torch.uint8) if isinstance(a, Tensor) and a.dtype == torch.bool else a


@as_operation
def choice(share: Tensor, a: Any, b: Any) -> Tensor:
    """Return `a` where `share` is 1, and `b` where it is 0, as ``torch.where`` does by truth values.

    Examples
    --------
    >>> choice(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 3.0]), -1.0)
    tensor([ 2., -1.])
    """
    y = torch.where(share != 0, a, b)
    return y.to(torch.promote_types(y.dtype, share.dtype))  # two numbers alone have no more digits than float32
