"""A hook that is called for the modules of a model, none of which has it, and what it finds in what they return."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_is_leaf, tree_leaves


@contextlib.contextmanager
def watch_modules(hook: Callable[..., None], before: bool = False) -> Iterator[None]:
    """Call a function after each module that this thread calls inside, of whatever model.

    Parameters
    ----------
    hook : callable
        Called as ``hook(module, inputs, output)``.
    before : bool
        Whether to call it before each module instead, as ``hook(module, inputs)``.

    Examples
    --------
    >>> import torch
    >>> names = []
    >>> with watch_modules(lambda module, inputs, output: names.append(type(module).__name__)):
    ...     shape = nn.Sequential(nn.Linear(3, 2), nn.ReLU())(torch.zeros(1, 3)).shape
    >>> names
    ['Linear', 'ReLU', 'Sequential']
    """
    this_thread = threading.get_ident()

    def call(*given: Any) -> None:
        if threading.get_ident() == this_thread:  # the hook is called in all threads, for all models
            hook(*given)

    hooks = nn.modules.module
    register = hooks.register_module_forward_pre_hook if before else hooks.register_module_forward_hook
    handle = register(call)
    try:
        yield
    finally:
        handle.remove()


def named_tensors(given: Any, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors that a module is given or returns, with their places in it.

    Examples
    --------
    >>> import torch
    >>> [path for path, one in named_tensors({"h": (torch.zeros(1), torch.ones(1))})]
    ["['h'][0]", "['h'][1]"]
    """
    if isinstance(given, Tensor):
        yield place, given
        return
    for part, one in _parts(given):
        yield from named_tensors(one, f"{place}{part}")


def _parts(given: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a container holds, each with its place; nothing for anything else."""
    if isinstance(given, Mapping):
        yield from ((f"[{key!r}]", one) for key, one in given.items())
    elif isinstance(given, tuple) and hasattr(given, "_fields"):
        yield from ((f".{name}", one) for name, one in zip(given._fields, given, strict=True))
    elif isinstance(given, tuple | list):
        yield from ((f"[{at}]", one) for at, one in enumerate(given))
    elif is_dataclass(given) and not isinstance(given, type):
        yield from ((f".{field.name}", getattr(given, field.name)) for field in fields(given))
    elif not tree_is_leaf(given):  # of another class that is registered with PyTorch
        yield from ((f"[{at}]", one) for at, one in enumerate(tree_leaves(given)))
