"""Triton as a backend of the table: where it can be used, and its kernels, which load it when they first run.

PyTorch brings Triton along for CUDA and ROCm, which call their devices "cuda" both, and for XPU. It compiles a kernel
when that first runs, and keeps it on disk for the next process.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from typing import Any

from seqlight.errors import KernelWarning, SeqlightError
from seqlight.prediction.device_memory import is_out_of_memory

#: The types of devices that kernels are compiled for.
DEVICES = ("cuda", "xpu")
# Why kernels have failed in this process.
_reasons = set[str]()


@cache
def is_available() -> bool:
    """Return whether Triton can be imported; an import that fails for whatever reason counts as none."""
    try:
        import_module("triton")
    except Exception:
        return False
    return True


class TritonKernel:
    """A kernel in Triton as a function of the table, which gives up for good where it cannot be compiled or run.

    A driver or a compiler may be missing, or too old for the device. Then the function returns None, as for tensors
    that it does not take, so that the rule computes the same in plain PyTorch.

    Parameters
    ----------
    step : str
        What it computes: the name of a file of this folder, and of a function in it.
    """

    def __init__(self, step: str) -> None:
        self.step, self.failed = step, False
        self._function: Any = None

    def __repr__(self) -> str:
        return f"TritonKernel({self.step!r})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns, or None if it cannot run.

        Raises
        ------
        RuntimeError
            If the device has no memory for the result.
        SeqlightError
            If the kernel refuses the call, as the plain twin would.
        """
        if self.failed:
            return None
        try:
            return self._loaded()(*args, **kwargs)
        except Exception as error:
            if isinstance(error, SeqlightError) or is_out_of_memory(error):
                raise
            self._give_up(error)
            return None

    def _loaded(self) -> Any:
        if self._function is None:
            family, name = self.step.split(".")
            self._function = getattr(import_module(f"seqlight.attribution.kernels.triton.{family}"), name)
        return self._function

    def _give_up(self, error: Exception) -> None:
        self.failed = True
        reason = f"{type(error).__name__}: {(str(error).strip() or repr(error)).splitlines()[0]}"
        if reason in _reasons:  # where there is no compiler, say, all kernels fail
            return
        _reasons.add(reason)
        warnings.warn(
            f"Triton could not run {self.step} here ({reason}), so PyTorch's own operations do it in more time: "
            "update Triton and the driver of the device, or uninstall Triton.",
            KernelWarning,
            stacklevel=3,
        )
