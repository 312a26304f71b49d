"""Let a mode see inside what PyTorch hands it as a whole, and see as a whole what it would not see."""

from __future__ import annotations

import functools
import types
from typing import Any

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from seqlight.attribution.calls.call import Function


def as_operation(function: Function) -> Function:
    """Let a mode see `function` as one operation, as it sees those of PyTorch."""

    @functools.wraps(function)
    def seen(x: Tensor, *more: Any) -> Any:
        if has_torch_function_unary(x):
            return handle_torch_function(seen, (x,), x, *more)
        return function(x, *more)

    return seen


def open_body(function: Any) -> Function | None:
    """Return `function`, if it is written in Python, with a body that a mode sees; None if it cannot be.

    PyTorch hands such a function to a mode as a whole. A copy that finds no reason to do so runs its body.
    """
    inner = getattr(function, "__wrapped__", None)
    owners = [one for one in (function, inner) if isinstance(one, types.FunctionType)]
    if not any(name.startswith("has_torch_function") for one in owners for name in one.__globals__):
        return None
    assert isinstance(function, types.FunctionType)
    scope = dict(function.__globals__)
    scope.update({name: _never for name in scope if name.startswith("has_torch_function")})
    copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _never(*_: Any) -> bool:
    return False
