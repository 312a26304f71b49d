"""Make all operations of a model visible to a mode: switch off what hides them, or refuse it by name."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.engine.autograd_functions import announce_functions
from seqlight.attribution.engine.flex_attention import refuse_flex_attention
from seqlight.attribution.engine.func_transforms import replace_transforms
from seqlight.attribution.engine.patches import Patch
from seqlight.errors import SeqlightWarning, UnsupportedOperation
from seqlight.prediction.module_names import count_frames_outside
from seqlight.prediction.process_settings import EAGER


@contextlib.contextmanager
def make_visible(model: nn.Module) -> Iterator[None]:
    """Inside, run a model without compilation and checkpoints, so that a mode sees every operation."""
    with (
        _disable_compilation(model),
        _disable_checkpoints(),
        replace_transforms(),
        announce_functions(),
        refuse_flex_attention(),
    ):
        yield


def refuse_hidden(model: nn.Module) -> None:
    """Raise UnsupportedOperation if parts of `model` can only run where no mode sees them."""
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
        rows = _exported_rows(module)
        if rows is not None:
            raise UnsupportedOperation(
                f"{where} was exported for exactly {rows} rows, and batches have any size: "
                "export it with dynamic_shapes that have a torch.export.Dim for the first dimension."
            )
        _refuse_quantised(module, where)
        if _is_defined_in(module, "torch.ao.quantization.fake_quantize") and bool(
            module.get_buffer("fake_quant_enabled")[0]
        ):
            raise UnsupportedOperation(
                f"{where} rounds as a quantised model would, and steps have no gradient: "
                "switch it off with model.apply(torch.ao.quantization.disable_fake_quant)."
            )


def refuse_quantised(model: nn.Module) -> None:
    """Raise UnsupportedOperation if parts of `model` are quantised: gradients would be missing or bypass them."""
    for name, module in model.named_modules():
        _refuse_quantised(module, f"module {name!r}" if name else "the model")


def _refuse_quantised(module: nn.Module, where: str) -> None:
    if _is_defined_in(module, "torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized"):
        raise UnsupportedOperation(
            f"{where} is a quantised {type(module).__name__}, whose operations have no gradient: "
            "pass the model as it was before it was quantised."
        )


def _exported_rows(module: nn.Module) -> int | None:
    """Return the number of rows that an exported program takes, or None if it is not fixed."""
    graph: Any = getattr(module, "graph", None)
    if graph is None or not any(one.__module__ == "torch.export._unlift" for one in type(module).__mro__):
        return None
    inputs = (node.meta.get("val") for node in graph.nodes if node.op == "placeholder")
    first = next(inputs, None)
    return first.shape[0] if isinstance(first, Tensor) and first.ndim and isinstance(first.shape[0], int) else None


def _is_defined_in(module: nn.Module, *packages: str) -> bool:
    """Return whether the class of `module` is defined in one of `packages`."""
    home = type(module).__module__
    return any(home == one or home.startswith(f"{one}.") for one in packages)


def is_compiled(model: nn.Module) -> bool:
    """Return whether any part of `model` is compiled."""
    return any(
        type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


@contextlib.contextmanager
def _disable_compilation(model: nn.Module) -> Iterator[None]:
    # A compiled model runs code that no mode sees. Setting eager mode loads the compiler, so it is set only if
    # something is compiled: a module, or a function, for which the compiler must have been loaded.
    if compiled := is_compiled(model):
        warnings.warn(
            "the model is compiled: it is run as it was written, because operations of compiled code cannot be seen.",
            SeqlightWarning,
            stacklevel=count_frames_outside("seqlight.", "contextlib"),
        )
    eager = compiled or "torch._dynamo" in sys.modules
    with EAGER.apply() if eager else contextlib.nullcontext():
        yield


# By thread: others, which may be training, keep their checkpoints.
_disabled = threading.local()


class _CheckpointFunction:
    @staticmethod
    def apply(function: Any, preserve: Any, *args: Any) -> Any:
        if not getattr(_disabled, "depth", 0):
            return _checkpoints().original("CheckpointFunction").apply(function, preserve, *args)
        return function(*args)


def _checkpoint_generator(*args: Any, **kwargs: Any) -> Iterator[None]:
    if not getattr(_disabled, "depth", 0):
        yield from _checkpoints().original("_checkpoint_without_reentrant_generator")(*args, **kwargs)
    else:
        yield


@cache
def _checkpoints() -> Patch:
    # Loaded with the first model that is explained: with earlier releases of PyTorch that takes a second.
    from torch.utils import checkpoint

    # Both kinds of checkpoint look these up at each call, so it does not matter who imported them before.
    return Patch(
        checkpoint,
        {"CheckpointFunction": _CheckpointFunction, "_checkpoint_without_reentrant_generator": _checkpoint_generator},
    )


@contextlib.contextmanager
def _disable_checkpoints() -> Iterator[None]:
    # A checkpointed block would run again in the backward pass, where there is no mode.
    with _checkpoints().apply():
        _disabled.depth = getattr(_disabled, "depth", 0) + 1
        try:
            yield
        finally:
            _disabled.depth -= 1
