"""Modules that announce their calls, each as one operation, to the modes of a thread that asks for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

# The classes that announce their calls in this thread, the latest last; and the modules whose forward was replaced.
# All threads call the replacement. In those that have not asked for announcements it does what the original does.
_announcements = threading.local()
_replaced: dict[int, tuple[int, Any]] = {}
_lock = threading.Lock()


def make_announcer() -> Any:
    """Return a new function that calls the forward of a module, as one operation for a mode."""

    def announce(x: Tensor, forward: Any, *more: Any, **named: Any) -> Any:
        if has_torch_function_unary(x):
            return handle_torch_function(announce, (x,), x, forward, *more, **named)
        return forward(x, *more, **named)

    return announce


@contextlib.contextmanager
def announced_modules(model: nn.Module, kind: type[nn.Module], announce: Any) -> Iterator[None]:
    """Let the modules of one class announce their calls inside, in this thread.

    Parameters
    ----------
    model : torch.nn.Module
        Its modules of that class get a ``forward`` of their own inside.
    kind : type
        The class.
    announce : callable
        What a mode sees in place of the forward of a module, of :func:`make_announcer`.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_activate(kind, announce))
        for module in model.modules():
            if isinstance(module, kind):
                stack.enter_context(_replace_forward(module))
        yield


@contextlib.contextmanager
def _activate(key: type, announce: Any) -> Iterator[None]:
    before = getattr(_announcements, "active", ())
    _announcements.active = (*before, (key, announce))
    try:
        yield
    finally:
        _announcements.active = before


@contextlib.contextmanager
def _replace_forward(module: nn.Module) -> Iterator[None]:
    """Let a module announce its calls, in threads that ask for it, until the last of them is done."""
    with _lock:
        times, own = _replaced.get(id(module), (0, vars(module).get("forward")))
        if not times:
            module.forward = _AnnouncingForward(module)
        _replaced[id(module)] = times + 1, own
    try:
        yield
    finally:
        with _lock:
            times, own = _replaced.pop(id(module))
            if times > 1:
                _replaced[id(module)] = times - 1, own
            else:
                del module.forward
                if own is not None:
                    module.forward = own


class _AnnouncingForward:
    """The forward of a module, announced in threads that ask for it."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.forward = module, module.forward

    def __call__(self, *args: Any, **named: Any) -> Any:
        forward = self.forward
        for key, announce in getattr(_announcements, "active", ()):
            if isinstance(self.module, key):
                forward = _announce_forward(announce, forward)
        return forward(*args, **named)


def _announce_forward(announce: Any, forward: Any) -> Any:
    def announced(x: Tensor, *more: Any, **named: Any) -> Any:
        return announce(x, forward, *more, **named)

    return announced
