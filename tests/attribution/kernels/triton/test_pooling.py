"""Max pooling in Triton: maxima, credits and gradients are those of the plain rule, bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from multipliers import DTYPES, multiplied, plain_rules
from seqlight.attribution.rules import pooling as rules
from seqlight.attribution.rules.elementwise import smallest_step
from seqlight.attribution.rules.pooled_windows import Window
from seqlight.attribution.rules.pooling import MaxPool
from triton_interpreter import interpreted_kernels, needs_interpreter

pytestmark = needs_interpreter
pytest.importorskip("triton")

from seqlight.attribution.kernels.triton import pooling as kernels  # noqa: E402

SAME_BITS = {"rtol": 0, "atol": 0, "equal_nan": True}
WINDOWS = [
    *((2, 2, 0, 1), (3, 3, 0, 1), (5, 5, 0, 1), (4, 2, 2, 1), (3, 1, 1, 2), (3, 3, 1, 1)),
    *((18, 1, 0, 1), (18, 18, 3, 1), (20, 20, 0, 1), (3, 7, 1, 2), (1, 1, 0, 1)),
]


def pooled(x1, x0, window):
    """Return what the kernel finds, and what the plain rule does."""
    y1, w1 = F.max_pool1d(x1, *window, return_indices=True)
    y0, w0 = F.max_pool1d(x0, *window, return_indices=True)
    found = kernels.max_pool((x1, y1, w1), x0, window, smallest_step(x0.dtype), rules.tie_of(x0.dtype))
    with plain_rules():
        wanted = rules.cross_maximum((x1, y1, w1), (x0, y0, w0), 1, Window(*window))
    return found, (y0, *wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", WINDOWS)
def test_max_pool(window, dtype):
    """Rows of random numbers, of equal ones, of some that are equal but for rounding, and of infinities and NaN."""
    torch.manual_seed(0)
    x1, x0 = torch.randn(1, 4, 20, dtype=dtype), torch.randn(2, 4, 20, dtype=dtype)
    for x in (x1, x0):
        x[:, 1:3].round_()
        x[:, 2].mul_(1 + 4 * torch.finfo(dtype).eps * torch.randn_like(x[:, 2]))
    x0[0, 3, 3] = x0[0, 3, 4] = float("nan")
    x0[1, 3, :10] = -float("inf")
    x1[0, 3, 17] = float("inf")
    (y0, winners, multiplier), wanted = pooled(x1, x0, window)
    torch.testing.assert_close(y0, wanted[0], **SAME_BITS)
    assert winners.dtype == torch.int32
    assert torch.equal(winners.long(), wanted[1])
    torch.testing.assert_close(multiplier, wanted[2], **SAME_BITS)


@settings(max_examples=12)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 70), st.integers(1, 9), st.integers(1, 6), st.integers(1, 3)
)
def test_shapes(b, n, width, size, stride, dilation):
    """Rows that are shorter and longer than a block, windows that fit their row and that do not fill it."""
    reach = dilation * (size - 1) + 1
    width = max(width, reach)
    torch.manual_seed(0)
    x1, x0 = torch.randn(b, 1, width).mul_(4).round_(), torch.randn(n * b, 1, width).mul_(4).round_()
    window = size, stride, min(size // 2, width - reach), dilation
    found, wanted = pooled(x1, x0, window)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.to(other.dtype), other, **SAME_BITS)


def test_more_than_a_block():
    torch.manual_seed(0)
    x1, x0 = torch.randn(1, 1, 2500), torch.randn(2, 1, 2500)
    for window in ((2, 2, 0, 1), (1500, 500, 100, 1)):
        found, wanted = pooled(x1, x0, window)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one.to(other.dtype), other, **SAME_BITS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", WINDOWS)
def test_gradients(window, dtype):
    """Windows that overlap give all that they have, in the order of the windows."""
    torch.manual_seed(0)
    x1, x0 = torch.randn(2, 1, 20, dtype=dtype), torch.randn(4, 1, 20, dtype=dtype)
    size, stride, padding, dilation = window
    options = {"kernel_size": size, "stride": stride, "padding": padding, "dilation": dilation}
    grad = torch.randn_like(F.max_pool1d(x0, **options))
    arguments = MaxPool(1), F.max_pool1d_with_indices, x1, x0, grad
    with plain_rules():
        wanted = multiplied(*arguments, **options)
    with interpreted_kernels():
        found = multiplied(*arguments, **options)
    torch.testing.assert_close(found, wanted, **SAME_BITS)


@pytest.mark.parametrize("operation", [F.max_pool2d_with_indices, F.max_pool1d_with_indices])
def test_images_and_sequences_second(operation):
    """Pooling in two dimensions has no kernel on the way back, and the batch need not be the first dimension."""
    torch.manual_seed(0)
    if operation is F.max_pool2d_with_indices:
        x1, x0, n, options = torch.randn(2, 2, 6, 7), torch.randn(6, 2, 6, 7), 2, {"kernel_size": 3, "stride": 2}
    else:
        x1, x0, n, options = torch.randn(2, 3, 9), torch.randn(2, 9, 9), 1, {"kernel_size": 3}
    grad = torch.randn_like(operation(x0, **options)[0])
    arguments = MaxPool(n), operation, x1, x0, grad
    with plain_rules():
        wanted = multiplied(*arguments, **options)
    with interpreted_kernels():
        found = multiplied(*arguments, **options)
    torch.testing.assert_close(found, wanted, **SAME_BITS)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_maximum(dtype):
    torch.manual_seed(0)
    x1, x0 = torch.randn(2, 3, 8, 6, dtype=dtype).round(), torch.randn(6, 3, 8, 6, dtype=dtype)
    x0[0] = x1[0]
    recorded, reference = ((x, *F.max_pool2d(x, 3, 2, return_indices=True)) for x in (x1, x0))
    found = kernels.cross_maximum(recorded, reference, 2, smallest_step(dtype))
    with plain_rules():
        wanted = rules.cross_maximum(recorded, reference, 2)
    torch.testing.assert_close(found, wanted, **SAME_BITS)


def test_tensors_that_kernels_do_not_take():
    x = torch.randn(2, 3, 8)
    y, w = F.max_pool1d(x, 2, return_indices=True)
    window, numbers = (2, 2, 0, 1), (1e-30, 1e-6)
    assert kernels.max_pool((x, y, w), x.double(), window, *numbers) is None
    assert kernels.max_pool((x, y, w), x.mT.contiguous().mT, window, *numbers) is None
    assert kernels.max_pool((x[:0], y[:0], w[:0]), x[:0], window, *numbers) is None
    assert kernels.max_pool_vjp(y, y, w, x.shape, 1, None) is None
    assert kernels.cross_maximum((x, y, w), (x, y, w.mT.contiguous().mT), 1, 1e-30) is None
