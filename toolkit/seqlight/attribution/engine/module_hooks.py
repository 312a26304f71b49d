"""A hook that is called for the modules of a model, none of which has it, and what it finds in what they return."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import keystr, tree_flatten_with_path


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


def tensors_of(given: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors that a module is given or returns, with their places in it.

    Examples
    --------
    >>> import torch
    >>> [path for path, one in tensors_of({"h": (torch.zeros(1), torch.ones(1))})]
    ["['h'][0]", "['h'][1]"]
    """
    if isinstance(given, Tensor):
        yield "", given
        return
    for path, one in tree_flatten_with_path(given)[0]:
        if isinstance(one, Tensor):
            yield keystr(path), one
