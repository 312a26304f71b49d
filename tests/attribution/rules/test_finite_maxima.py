"""What arithmetic credits is what comparisons credit: the same positions, and the same multipliers, to the bit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlight.attribution.rules import pooling
from seqlight.attribution.rules.finite_maxima import credit_finite
from seqlight.attribution.rules.pooled_windows import Window


@st.composite
def pooled(draw):
    """Inputs of sequences and references with equal numbers, ties by rounding, zeros and numbers below the smallest."""
    size, dilation, n = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    window = Window(size, draw(st.integers(1, 5)), 0, dilation)
    length = window.reach + draw(st.integers(0, 12))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    rows = draw(st.integers(1, 3))
    x1, x0 = (torch.randn(many, 2, length, generator=generator, dtype=dtype) for many in (rows, n * rows))
    kind = draw(st.sampled_from(["any", "ties", "zeros", "few", "tiny"]))
    if kind == "ties":
        near = 1 + 4 * torch.finfo(dtype).eps * torch.randint(-2, 3, x0.shape, generator=generator)
        x0 = x0.round() * near.to(dtype)
    if kind == "zeros":
        x1, x0 = x1.relu(), x0.relu()
    if kind == "few":
        x1, x0 = x1.round(), x0.round()
    if kind == "tiny":
        x1, x0 = (one.round() * torch.finfo(dtype).tiny / 4 for one in (x1, x0))
    return x1, x0, window


def maxima(x, window):
    y, places = F.max_pool1d_with_indices(x, window.size, window.stride, 0, window.dilation)
    return x, y, places


@given(pooled())
def test_they_are_equal(case):
    x1, x0, window = case
    recorded, reference = maxima(x1, window), maxima(x0, window)
    found = credit_finite(recorded, reference, window)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooling, "credit_finite", lambda *_: None)
        expected = pooling.cross_maximum(recorded, reference, 1, window)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_what_is_not_finite_or_overflows_is_left_to_comparisons(number):
    x = torch.randn(2, 3, 8)
    other = x.clone()
    other[1, 2, 3] = number
    window = Window(2, 2, 0, 1)
    assert credit_finite(maxima(x, window), maxima(other, window), window) is None
    assert credit_finite(maxima(other, window), maxima(x, window), window) is None


@pytest.mark.parametrize("window", [Window(2, 2, 1, 1), Window(40, 2, 0, 1)])
def test_padding_and_wide_windows_are_left_to_comparisons(window):
    x = torch.randn(2, 3, 50)
    y, places = F.max_pool1d_with_indices(x, window.size, window.stride, window.padding)
    assert credit_finite((x, y, places), (x, y, places), window) is None
