"""A hook that is called for the modules of a model, none of which has it: PyTorch's own for all modules."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn


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
