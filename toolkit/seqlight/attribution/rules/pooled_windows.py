"""The windows of a max pooling over the last dimension: where they lie, and whether one of them is empty."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call

DIMENSIONS = {
    F.max_pool1d_with_indices: 1,
    F.max_pool2d_with_indices: 2,
    F.max_pool3d_with_indices: 3,
}


class Window(NamedTuple):
    """Windows over one dimension: how many inputs each has, and where they lie."""

    size: int
    stride: int
    padding: int
    dilation: int

    @property
    def reach(self) -> int:
        """From the first to the last input of a window, in positions."""
        return self.dilation * (self.size - 1) + 1

    def starts(self, windows: int, device: torch.device) -> Tensor:
        """Return the position of the first input of each window, which may be one of padding."""
        return torch.arange(windows, device=device) * self.stride - self.padding

    def padding_after(self, width: int, windows: int) -> int:
        """Return how many positions of padding the last window needs."""
        return max(0, (windows - 1) * self.stride + self.reach - self.padding - width)

    def leaves_input(self, width: int, windows: int) -> bool:
        """Return whether some inputs of windows are padding."""
        return self.padding > 0 or self.padding_after(width, windows) > 0

    def has_empty(self, width: int, windows: int) -> bool:
        """Return whether a window holds padding alone.

        Examples
        --------
        >>> Window(3, 1, 1, 1).has_empty(4, 4), Window(2, 1, 1, 2).has_empty(1, 1)
        (False, True)
        """
        if not windows:
            return False
        # The first input that is no padding: of the windows that begin before the input, and of the last one.
        before = -(-self.padding // self.stride)
        firsts = (i * self.stride - self.padding for i in {*range(min(windows, before)), windows - 1})
        steps = ((start, max(0, -(start // self.dilation))) for start in firsts)
        return any(k >= self.size or start + k * self.dilation >= width for start, k in steps)


def window_of(call: Call) -> Window | None:
    """Return the windows of a call if they extend over the last dimension alone, or None."""
    args, kwargs = call.arguments()
    if call.function is F.adaptive_max_pool1d_with_indices:
        return _adaptive_window(*args, **kwargs)
    n = DIMENSIONS.get(call.function)
    if n is None:
        return None
    *others, last = _windows(n, *args, **kwargs)
    (x,) = call.tensors
    flat = all(one == (1, 1, 0, 1) and x.shape[-n + i] == 1 for i, one in enumerate(others))
    return last if flat else None


def has_empty_window(call: Call, x: Tensor, y: Tensor) -> bool:
    """Return whether a window of a pooling from `x` to `y` holds padding alone, and so has no maximum.

    The shapes decide: to read the numbers, a device would have to be waited for.
    """
    n = DIMENSIONS.get(call.function)
    if n is None:
        return False
    args, kwargs = call.arguments()
    return _any_empty(tuple(_windows(n, *args, **kwargs)), tuple(x.shape[-n:]), tuple(y.shape[-n:]))


@cache
def _any_empty(each: tuple[Window, ...], widths: tuple[int, ...], windows: tuple[int, ...]) -> bool:
    return any(one.has_empty(width, n) for one, width, n in zip(each, widths, windows, strict=True))


def window_maxima(x: Tensor, window: Window, windows: int) -> Tensor:
    """Return the maxima of so many windows, without their positions, which take a CPU ten times as long to find."""
    size, stride, padding, dilation = window
    rounded_up = windows > (x.shape[-1] + 2 * padding - window.reach) // stride + 1
    rows = x.reshape(1, -1, x.shape[-1])
    return torch.max_pool1d(rows, size, stride, padding, dilation, rounded_up).view(*x.shape[:-1], windows)


def _adaptive_window(input: Tensor, output_size: Any, *_: Any, **__: Any) -> Window | None:
    """Return the windows of adaptive pooling if all are of one size that is a whole number, or None."""
    (windows,), width = _each(output_size, 1), input.shape[-1]
    equal = isinstance(windows, int) and windows > 0 and width % windows == 0
    return Window(width // windows, width // windows, 0, 1) if equal else None


def _windows(
    n: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    *_: Any,
    **__: Any,
) -> list[Window]:
    """Return the windows over each of the last `n` dimensions."""
    settings = kernel_size, kernel_size if stride in (None, [], ()) else stride, padding, dilation
    return [Window(*each) for each in zip(*(_each(one, n) for one in settings), strict=True)]


def _each(setting: Any, n: int) -> list[Any]:
    many = list(setting) if isinstance(setting, tuple | list) else [setting]
    return many * n if len(many) == 1 else many
