"""Compiled max pooling: maxima, credits and gradients are those of the definition, bit for bit."""

import pytest
import torch
from torch.nn import functional as F

from multipliers import DTYPES, needs_loops
from seqlight.attribution.kernels import pooling as kernels
from seqlight.attribution.rules import pooling as rules
from seqlight.attribution.rules.elementwise import smallest_step
from seqlight.attribution.rules.first_maxima import tie_of
from seqlight.attribution.rules.pooled_windows import Window
from seqlight.native import threads as native_threads

pytestmark = needs_loops


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [(3, 3, 0, 1), (4, 2, 2, 1), (3, 1, 1, 2)])
def test_cross_maximum_and_gradient(monkeypatch, settings, dtype, threads):
    """Against the definition, window by window."""
    monkeypatch.setattr(native_threads, "WORTH_A_TEAM", 1 if threads == 2 else 10**9)
    kernel, stride, padding, dilation = settings
    torch.manual_seed(0)
    x1, x0 = torch.randn(2, 3, 20, dtype=dtype), torch.randn(8, 3, 20, dtype=dtype)
    x0[0, 0] = x1[0, 0]
    y1, w1 = F.max_pool1d(x1, kernel, stride, padding, dilation, return_indices=True)
    y0, w0 = F.max_pool1d(x0, kernel, stride, padding, dilation, return_indices=True)
    winners, multiplier = kernels.cross_maximum((x1, y1, w1), (x0, y0, w0), 1, smallest_step(dtype))
    grad = torch.randn_like(y0)
    gradient = kernels.max_pool_vjp(grad, multiplier, winners, x0.shape, 1)
    expected = torch.zeros_like(x0)
    for row in range(8):
        for channel in range(3):
            for window in range(y0.shape[2]):
                a, b = y1[row % 2, channel, window], y0[row, channel, window]
                at = w1[row % 2, channel, window] if a >= b else w0[row, channel, window]
                dx = x1[row % 2, channel, at] - x0[row, channel, at]
                m = 1 if abs(dx) < smallest_step(dtype) else (a - b) / dx
                assert multiplier[row, channel, window] == m
                assert winners[row, channel, window] == at
                expected[row, channel, at] += grad[row, channel, window] * m
    assert torch.equal(gradient, expected)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["random", "equal", "equal but for rounding", "none"])
@pytest.mark.parametrize(
    "window",
    [
        *((2, 2, 0, 1), (3, 3, 0, 1), (4, 4, 0, 1), (5, 5, 0, 1), (4, 2, 2, 1), (3, 1, 1, 2), (3, 3, 1, 1)),
        *((18, 1, 0, 1), (18, 18, 3, 1), (20, 20, 0, 1), (3, 7, 1, 2)),
    ],
)
def test_max_pool(monkeypatch, window, kind, dtype, threads):
    monkeypatch.setattr(native_threads, "WORTH_A_TEAM", 1 if threads == 2 else 10**9)
    torch.manual_seed(0)
    x1, x0 = torch.randn(2, 3, 20, dtype=dtype), torch.randn(8, 3, 20, dtype=dtype)
    if kind == "equal":
        x1, x0 = x1.round(), x0.round()
    if kind == "equal but for rounding":
        x1, x0 = (one.round() * (1 + 4 * torch.finfo(dtype).eps * torch.randn_like(one)) for one in (x1, x0))
    if kind == "none":
        x0[1, 0, 3] = x0[1, 0, 4] = float("nan")
        x0[2, 1] = -float("inf")
    y1, w1 = F.max_pool1d(x1, *window, return_indices=True)
    wanted_y, w0 = F.max_pool1d(x0, *window, return_indices=True)
    y0, winners, multiplier = kernels.max_pool((x1, y1, w1), x0, window, smallest_step(dtype), tie_of(dtype))
    wanted = rules.cross_maximum((x1, y1, w1), (x0, wanted_y, w0), 1, Window(*window))
    torch.testing.assert_close(y0, wanted_y, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(winners, wanted[0])
    torch.testing.assert_close(multiplier, wanted[1], rtol=0, atol=0, equal_nan=True)
    plain = kernels.cross_maximum((x1, y1, w1), (x0, wanted_y, w0), 1, smallest_step(dtype))[0]
    assert torch.equal(winners, plain) == (kind != "equal but for rounding")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives(monkeypatch, dtype, threads):
    """Against the definition, window by window; several give their credit to one position, and one does not change."""
    monkeypatch.setattr(native_threads, "WORTH_A_TEAM", 1 if threads == 2 else 10**9)
    torch.manual_seed(0)
    g, x1, x0 = torch.randn(3, 4, 2, 9, dtype=dtype)
    x0[1, 0, 3] = x1[1, 0, 3]
    grad, multiplier = torch.randn(2, 4, 2, 5, dtype=dtype)
    winners = torch.randint(9, (4, 2, 5))
    winners[1, 0, 2] = 3
    found = kernels.max_pool_derivatives(g, grad, multiplier, winners, x1, x0)
    expected = tuple(torch.zeros_like(one) for one in (grad, x1, x0, grad, grad))
    for row, channel, window in torch.ones_like(grad).nonzero().tolist():
        at = winners[row, channel, window]
        some, here = (row, channel, window), (row, channel, at)
        dx = x1[here] - x0[here]
        rise = g[here] * grad[some] / dx if dx else torch.zeros_like(dx)
        expected[0][some] = g[here] * multiplier[some]
        expected[1][here] -= rise * multiplier[some]
        expected[2][here] += rise * multiplier[some]
        expected[3][some], expected[4][some] = rise, -rise
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert kernels.max_pool_derivatives(g, grad, multiplier, winners, x1.mT.contiguous().mT, x0) is None
