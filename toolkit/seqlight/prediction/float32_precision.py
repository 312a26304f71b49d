"""How exactly an accelerator computes in float32: to rounding, or with convolutions in TF32 where that is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import torch

from seqlight.errors import InputError
from seqlight.prediction.process_settings import SharedChoice

Precision: TypeAlias = Literal["tf32"] | None


def require_precision(precision: object) -> Precision:
    """Return a precision as it is; InputError unless it is None or "tf32"."""
    if precision not in (None, "tf32"):
        raise InputError(f"precision is {precision!r}: expected None, for float32 to rounding, or 'tf32'.")
    return "tf32" if precision else None


def hold_precision(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return a context in which float32 is computed with a precision on `device`, the same each time.

    PyTorch computes convolutions in TF32 unless it is told otherwise, with ten bits after the point: attributions are
    off by percents then. cuDNN also chooses among algorithms by their speed if `benchmark` is on, and sums in any order
    unless `deterministic` is. These are settings of the whole process: inside the context they are those of
    `precision`, and at the end they are what they were.

    Parameters
    ----------
    precision : "tf32" or None
        None for float32 to rounding; "tf32" for convolutions and recurrent layers in TF32, and all else to rounding.
        A context within another one of the same thread keeps the precision of the outer one.
    device : torch.device
        Nothing is set for the CPU, which has no TF32.

    Examples
    --------
    >>> with hold_precision(None, torch.device("cuda")):
    ...     print(torch.backends.cudnn.deterministic)
    True
    """
    if device.type == "cpu":
        return contextlib.nullcontext()
    return _hold((precision, _backend(device)))


@contextlib.contextmanager
def _hold(choice: tuple[Precision, str]) -> Iterator[None]:
    try:
        with _SHARED.apply(choice):
            yield
    except RuntimeError as error:
        # PyTorch refuses to answer by one value what now has two.
        if "whether allow_tf32 is enabled for cuDNN without a specific operator" not in str(error):
            raise
        raise InputError(
            "the model asks for torch.backends.cudnn.allow_tf32, as torch.backends.cudnn.flags does, while float32 is "
            "kept to rounding: expected a model that does not; use torch.backends.cudnn.conv.fp32_precision in its "
            "place, or pass precision='tf32'."
        ) from error


def may_use_tf32(device: torch.device) -> bool:
    """Return whether a device may compute some operations in TF32, as the program is set now.

    Examples
    --------
    >>> may_use_tf32(torch.device("cpu"))
    False
    """
    if device.type in ("cpu", "mps"):
        return False
    if not hasattr(torch._C, "_get_fp32_precision_getter"):  # PyTorch before 2.9
        return bool(torch._C._get_cudnn_allow_tf32() or torch._C._get_cublas_allow_tf32())
    read = torch._C._get_fp32_precision_getter
    return any(read(_backend(device), operation) == "tf32" for operation in ("conv", "rnn", "matmul"))


def _backend(device: torch.device) -> str:
    return "mkldnn" if device.type == "xpu" else "cuda"


@contextlib.contextmanager
def _set(choice: tuple[Precision, str]) -> Iterator[None]:
    precision, backend = choice
    with contextlib.ExitStack() as undo:
        _set_until(undo, torch._C._get_cudnn_deterministic, torch._C._set_cudnn_deterministic, True)
        _set_until(undo, torch._C._get_cudnn_benchmark, torch._C._set_cudnn_benchmark, False)
        if hasattr(torch._C, "_set_fp32_precision_setter"):
            _set_operations(undo, precision, backend)
        else:  # PyTorch before 2.9
            in_tf32 = precision == "tf32"
            _set_until(undo, torch._C._get_cudnn_allow_tf32, torch._C._set_cudnn_allow_tf32, in_tf32)
            _set_until(undo, torch._C._get_cublas_allow_tf32, torch._C._set_cublas_allow_tf32, False)
        yield


def _set_operations(undo: contextlib.ExitStack, precision: Precision, backend: str) -> None:
    """Set what PyTorch calls ``fp32_precision``, so that all of it can be restored.

    An operation follows its backend unless it has a setting of its own. As PyTorch begins, convolutions have one that
    can be overruled by their backend but not be made again, so it is left alone: the backend is set, and then only
    those operations that do not follow it. ``torch.backends.cudnn.flags`` would lose these settings.
    """
    read, write = torch._C._get_fp32_precision_getter, torch._C._set_fp32_precision_setter
    general = "tf32" if precision else "ieee"
    before = read(backend, "all")
    undo.callback(write, backend, "all", "none" if before == read("generic", "all") else before)
    write(backend, "all", "ieee")
    own = {one: found for one in ("conv", "rnn", "matmul") if (found := read(backend, one)) != "ieee"}
    write(backend, "all", general)
    for one in ("conv", "rnn", "matmul"):
        found, wanted = read(backend, one), "ieee" if one == "matmul" else general
        if found != wanted:
            undo.callback(write, backend, one, own.get(one, "none" if found == general else "ieee"))
            write(backend, one, wanted)


def _set_until(undo: contextlib.ExitStack, read: Any, write: Any, value: bool) -> None:
    """Set one thing, and have it restored at the end."""
    undo.callback(write, read())
    write(value)


_SHARED = SharedChoice(_set)
