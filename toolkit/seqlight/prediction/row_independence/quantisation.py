"""Find modules that round by the range of all rows of a batch: those that were quantised dynamically."""

from __future__ import annotations

import sys
import warnings

from torch import nn

from seqlight.errors import BatchWarning, UnsupportedOperation

DYNAMIC = "torch.ao.nn.quantized.dynamic"


def refuse_dynamic_quantisation(model: nn.Module) -> None:
    """Raise UnsupportedOperation if a module of `model` is quantised dynamically."""
    found = _describe_dynamic_quantisation(model)
    if found:
        raise UnsupportedOperation(f"{found}: pass batch_size=1, or the model as it was before it was quantised.")


def warn_of_dynamic_quantisation(model: nn.Module, stacklevel: int) -> bool:
    """Warn if a module of `model` is quantised dynamically, and return whether one is.

    `stacklevel` is counted from the caller of this.
    """
    found = _describe_dynamic_quantisation(model)
    if found:
        message = f"{found}, so predictions depend on batch_size: pass batch_size=1."
        warnings.warn(message, BatchWarning, stacklevel=stacklevel + 1)
    return bool(found)


def _describe_dynamic_quantisation(model: nn.Module) -> str:
    """Return in words that a module of `model` is quantised dynamically, or "" if none is.

    What it rounds to depends on the largest numbers of a batch. That changes an output by less than rounding is allowed
    to, but by some percent of the difference between two sequences.
    """
    if DYNAMIC not in sys.modules:  # as in nearly all programs
        return ""
    for name, module in model.named_modules():
        if type(module).__module__.startswith(DYNAMIC):
            where = f"module {name!r}" if name else "the model"
            return f"{where} is a {type(module).__name__} that was quantised dynamically, by the range of a whole batch"
    return ""
