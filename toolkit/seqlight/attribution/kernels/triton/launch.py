"""Launch kernels over blocks of elements, on the device of their tensors."""

import contextlib
from typing import Any

import torch
import triton
from torch import Tensor

#: How many elements a program of an elementwise kernel computes.
BLOCK = 1024


def launch(kernel: Any, programs: int, out: Tensor, *arguments: Any, **constants: Any) -> None:
    """Run as many programs of a kernel on the device of `out`.

    Parameters
    ----------
    kernel : triton.JITFunction
    programs : int
        How many; none if there are 0.
    out : torch.Tensor
        Its first argument, which it writes to.
    arguments, constants
        Further arguments, and what the kernel is compiled for, and how. Unless that says otherwise, products are
        rounded before they are added to, as in PyTorch's own arithmetic.
    """
    if programs:
        with _current(out.device):
            kernel[(programs,)](out, *arguments, **{"enable_fp_fusion": False, **constants})


def blocks(elements: int) -> int:
    """Return how many blocks there are in so many elements."""
    return int(triton.cdiv(elements, BLOCK))


def _current(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which `device` is the current one of its type: Triton launches there."""
    if device.index is None or device.type == "cpu":
        return contextlib.nullcontext()
    module = torch.get_device_module(device)
    return contextlib.nullcontext() if module.current_device() == device.index else module.device(device)
