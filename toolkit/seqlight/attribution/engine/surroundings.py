"""What hides a model's operations from a mode, and how it is switched off or refused."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils import checkpoint

from seqlight.attribution.calls.functions import announced_functions
from seqlight.attribution.calls.patching import Patch, Setting
from seqlight.attribution.calls.transforms import without_transforms
from seqlight.errors import SeqlightWarning, UnsupportedOperation


@contextlib.contextmanager
def open_to_view(model: nn.Module) -> Iterator[None]:
    """Run a model so that a mode sees what it does: uncompiled, without checkpoints, transforms or silent functions."""
    with _uncompiled(model), _without_checkpoints(), without_transforms(), announced_functions():
        yield


def refuse_hidden(model: nn.Module) -> None:
    """Raise UnsupportedOperation if parts of `model` can only be run where no mode sees them."""
    for name, module in model.named_modules():
        where = f"module {name!r}" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            raise UnsupportedOperation(
                f"{where} is a ScriptModule, whose operations cannot be seen: "
                "pass the nn.Module that it was scripted from."
            )
        if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
            raise UnsupportedOperation(
                f"{where} is a DataParallel, which works in threads that cannot be seen: pass its .module."
            )


_EAGER = Setting(lambda: torch.compiler.set_stance("force_eager"))


@contextlib.contextmanager
def _uncompiled(model: nn.Module) -> Iterator[None]:
    # A compiled model runs code that no mode sees. Asking for eager mode loads the compiler, so only where
    # something is compiled: a module, or a function, which takes the compiler to be loaded already.
    compiled = any(
        type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )
    if compiled:
        # Python shows the same warning from the same place once.
        warnings.warn(
            "the model is compiled: it is run as it was written, for the operations of compiled code cannot be seen.",
            SeqlightWarning,
            stacklevel=_frames_to_the_caller(),
        )
    eager = compiled or "torch._dynamo" in sys.modules
    with _EAGER.applied() if eager else contextlib.nullcontext():
        yield


def _frames_to_the_caller() -> int:
    """Return how many frames lie between this function's caller and the first one outside seqlight, for a warning."""
    frame, depth = sys._getframe(1), 1
    inside = ("seqlight.", "contextlib")
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(inside):
        frame, depth = frame.f_back, depth + 1
    return depth


# Other threads, which may be training, go on with checkpoints.
_plainly = threading.local()


class _Plainly:
    @staticmethod
    def apply(function: Any, preserve: Any, *args: Any) -> Any:
        if not getattr(_plainly, "depth", 0):
            return _CHECKPOINTS.original("CheckpointFunction").apply(function, preserve, *args)
        return function(*args)


def _nothing_around(*args: Any, **kwargs: Any) -> Iterator[None]:
    if not getattr(_plainly, "depth", 0):
        yield from _CHECKPOINTS.original("_checkpoint_without_reentrant_generator")(*args, **kwargs)
    else:
        yield


# What both kinds of checkpoint are made of is looked up here when they are called, whoever has imported them.
_CHECKPOINTS = Patch(
    checkpoint, {"CheckpointFunction": _Plainly, "_checkpoint_without_reentrant_generator": _nothing_around}
)


@contextlib.contextmanager
def _without_checkpoints() -> Iterator[None]:
    # A checkpointed block would run again in the backward pass, where no mode is.
    with _CHECKPOINTS.applied():
        _plainly.depth = getattr(_plainly, "depth", 0) + 1
        try:
            yield
        finally:
            _plainly.depth -= 1
