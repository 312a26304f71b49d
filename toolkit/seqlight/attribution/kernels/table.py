"""Which kernel serves which rule, on which device and for which dtypes.

A rule asks for the fast twin of a step that it can also do in plain PyTorch, and does the latter if there is none::

    fast = kernel_for("softmax.softmax_vjp", grad.device.type, grad.dtype)
    found = None if fast is None else fast(grad, weights, slope)

A kernel computes what its plain twin does, or returns None for tensors that do not lie in memory as it needs them. The
compiled loops serve the CPU, and kernels in Triton, in files of the same names, serve accelerators. To add a backend,
enter its functions here: no rule changes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch

from seqlight.attribution.kernels import (
    attention,
    attention_derivatives,
    contributions,
    convolution,
    elementwise,
    gru,
    layer_norm,
    linear,
    lstm,
    pooling,
    smooth_activations,
    softmax,
    unbind,
)
from seqlight.attribution.kernels.triton import backend as triton
from seqlight.native.library import has_lanes, library

Function = Callable[..., Any]


class Kernel(NamedTuple):
    """A line of the table.

    Parameters
    ----------
    step : str
        What the kernel computes: a family, which is the name of the rule's file, and a step of it.
    function : callable
        Which function computes it.
    device : str
        The type of the device that its tensors must be on.
    dtypes : tuple of torch.dtype
        Their dtypes.
    is_available : callable
        Whether this machine can run it.
    """

    step: str
    function: Function
    device: str
    dtypes: tuple[torch.dtype, ...]
    is_available: Callable[[], bool]


def compiled() -> bool:
    """Return whether the package was built with a C compiler."""
    return library() is not None


def vectorised() -> bool:
    """Return whether it was, and for registers of several float32."""
    return has_lanes(library())


SINGLE = (torch.float32,)
REAL = (torch.float32, torch.float64)


def in_triton(step: str, dtypes: tuple[torch.dtype, ...]) -> tuple[Kernel, ...]:
    """Return the lines of a kernel in Triton: one for each type of device and dtype, where it may fail alone."""
    return tuple(
        Kernel(step, triton.TritonKernel(step), device, (dtype,), triton.is_available)
        for device in triton.DEVICES
        for dtype in dtypes
    )


LOOPS = (
    Kernel("elementwise.secant", elementwise.secant, "cpu", REAL, compiled),
    Kernel("elementwise.relu_vjp", elementwise.relu_vjp, "cpu", REAL, compiled),
    Kernel("elementwise.relu_derivatives", elementwise.relu_derivatives, "cpu", REAL, compiled),
    Kernel("smooth_activations.activation", smooth_activations.activation, "cpu", SINGLE, vectorised),
    Kernel("smooth_activations.activation_vjp", smooth_activations.activation_vjp, "cpu", SINGLE, vectorised),
    Kernel(
        "smooth_activations.activation_multiplier", smooth_activations.activation_multiplier, "cpu", SINGLE, vectorised
    ),
    Kernel(
        "smooth_activations.activation_derivatives",
        smooth_activations.activation_derivatives,
        "cpu",
        SINGLE,
        vectorised,
    ),
    Kernel("pooling.max_pool", pooling.max_pool, "cpu", REAL, compiled),
    Kernel("pooling.maxima", pooling.maxima, "cpu", REAL, compiled),
    Kernel("pooling.cross_maximum", pooling.cross_maximum, "cpu", REAL, compiled),
    Kernel("pooling.max_pool_vjp", pooling.max_pool_vjp, "cpu", REAL, compiled),
    Kernel("pooling.max_pool_derivatives", pooling.max_pool_derivatives, "cpu", REAL, compiled),
    Kernel("softmax.softmax_multipliers", softmax.softmax_multipliers, "cpu", REAL, compiled),
    Kernel("softmax.softmax_vjp", softmax.softmax_vjp, "cpu", REAL, compiled),
    Kernel("softmax.softmax_vjp_in_place", softmax.softmax_vjp_in_place, "cpu", REAL, compiled),
    Kernel("softmax.softmax_derivatives", softmax.softmax_derivatives, "cpu", REAL, compiled),
    Kernel("layer_norm.layer_norm", layer_norm.layer_norm, "cpu", SINGLE, vectorised),
    Kernel("layer_norm.layer_norm_vjp", layer_norm.layer_norm_vjp, "cpu", REAL, compiled),
    Kernel("layer_norm.layer_norm_derivatives", layer_norm.layer_norm_derivatives, "cpu", REAL, compiled),
    Kernel("gru.gru_trajectory", gru.gru_trajectory, "cpu", SINGLE, vectorised),
    Kernel("gru.gru_trajectory_vjp", gru.gru_trajectory_vjp, "cpu", SINGLE, vectorised),
    Kernel("gru.gru_multiplier", gru.gru_multiplier, "cpu", SINGLE, vectorised),
    Kernel("gru.gru_derivatives", gru.gru_derivatives, "cpu", SINGLE, vectorised),
    Kernel("lstm.lstm_trajectory", lstm.lstm_trajectory, "cpu", SINGLE, vectorised),
    Kernel("lstm.lstm_trajectory_vjp", lstm.lstm_trajectory_vjp, "cpu", SINGLE, vectorised),
    Kernel("lstm.lstm_multiplier", lstm.lstm_multiplier, "cpu", SINGLE, vectorised),
    Kernel("lstm.lstm_derivatives", lstm.lstm_derivatives, "cpu", SINGLE, vectorised),
    Kernel("layer_contributions.totals", contributions.totals, "cpu", REAL, compiled),
    Kernel("attention.observe", attention.observe, "cpu", SINGLE, vectorised),
    Kernel("attention.attend", attention.attend, "cpu", SINGLE, vectorised),
    Kernel("attention.attention_vjp", attention.attention_vjp, "cpu", SINGLE, vectorised),
    Kernel("attention.record", attention.record, "cpu", SINGLE, vectorised),
    Kernel("attention.attention_slopes", attention_derivatives.attention_slopes, "cpu", SINGLE, vectorised),
    Kernel("attention.attention_derivatives", attention_derivatives.attention_derivatives, "cpu", SINGLE, vectorised),
)
TRITON = (
    *in_triton("elementwise.relu_vjp", REAL),
    *in_triton("elementwise.secant", REAL),
    *in_triton("elementwise.rescale_vjp", REAL),
    *in_triton("softmax.softmax_multipliers", REAL),
    *in_triton("softmax.softmax_vjp", REAL),
    *in_triton("softmax.softmax_vjp_in_place", REAL),
    *in_triton("layer_norm.layer_norm_vjp", REAL),
    *in_triton("attention.observe", SINGLE),
    *in_triton("attention.attend", SINGLE),
    *in_triton("attention.attention_vjp", SINGLE),
    *in_triton("smooth_activations.rescale_vjp", REAL),
    *in_triton("pooling.max_pool", REAL),
    *in_triton("pooling.cross_maximum", REAL),
    *in_triton("pooling.max_pool_vjp", REAL),
)
# A step that two lines serve on the same device and dtype is done by the first that is available.
KERNELS = (*LOOPS, *TRITON)

# Operations that are linear need no rule, only the same result and the same gradient in less time. Each of these takes
# what PyTorch's function of its name takes, and hands on to that what it cannot do faster itself.
OPERATIONS: dict[str, Function] = {
    "conv1d": convolution.conv1d,
    "conv2d": convolution.conv2d,
    "linear": linear.linear,
    "unbind": unbind.unbind,
    "__iter__": unbind.iterate,
}


@cache
def kernel_for(step: str, device: str, dtype: torch.dtype) -> Function | None:
    """Return the kernel of a step for tensors of this dtype on a device of this type, or None.

    Examples
    --------
    >>> kernel_for("softmax.softmax_vjp", "cpu", torch.int64) is None
    True
    """
    for kernel in KERNELS:
        if kernel.step == step and kernel.device == device and dtype in kernel.dtypes and kernel.is_available():
            return kernel.function
    return None
