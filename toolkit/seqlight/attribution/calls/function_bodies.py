"""Show a mode the body of a function of PyTorch, or a function of ours as a single operation."""

from __future__ import annotations

import functools
import types
from typing import Any

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from seqlight.attribution.calls.call import Function


def as_operation(function: Function) -> Function:
    """Return `function` as one operation for a mode, like the functions of PyTorch."""

    @functools.wraps(function)
    def wrapper(x: Tensor, *more: Any) -> Any:
        if has_torch_function_unary(x):
            return handle_torch_function(wrapper, (x,), x, *more)
        return function(x, *more)

    return wrapper


def open_body(function: Any) -> Function | None:
    """Return a copy of a function of PyTorch whose body a mode sees; None for one that is not written in Python.

    PyTorch passes such a function to the mode as a whole if ``has_torch_function`` is true. In the copy it never is.
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
