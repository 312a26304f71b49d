"""Convolutions with channels last are PyTorch's, in value and in gradient, however their results lie."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlight.attribution.kernels.channels_last import (
    MANY_PRODUCTS,
    arrange_channels_last,
    convolve,
    lies_channels_last,
    plan_convolution,
)


@st.composite
def cases(draw):
    channels = draw(st.one_of(st.integers(1, 8), st.integers(16, 20)))
    outputs, taps = draw(st.integers(16, 20)), draw(st.integers(1, 9))
    dilation = draw(st.sampled_from([1, 2, 3, 16, 100]))
    reach = dilation * (taps - 1)
    padding = draw(st.sampled_from(["same", "valid", 0, reach // 2, reach, (reach // 3,)]))
    least = max(1 + reach, MANY_PRODUCTS // (channels * outputs * taps) + 1)
    length = least + draw(st.integers(0, 20))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(draw(st.integers(1, 2)), channels, length, generator=generator)
    weight = torch.randn(outputs, channels, taps, generator=generator)
    bias = torch.randn(outputs, generator=generator) if draw(st.booleans()) else None
    return arrange_channels_last(x) if draw(st.booleans()) else x, weight, bias, padding, dilation


@given(cases(), st.booleans(), st.booleans())
def test_value_and_gradient_are_those_of_pytorch(case, arranges, arranged_gradient):
    x, weight, bias, padding, dilation = case
    plan = plan_convolution(x, weight, bias, padding=padding, dilation=dilation)
    if plan is None:
        assert padding == "same"
        assert dilation * (weight.shape[2] - 1) % 2
        return
    ours, exact = x.clone().requires_grad_(), x.double().requires_grad_()
    y = convolve(plan._replace(arranges=arranges), ours, weight, bias)
    expected = F.conv1d(
        exact, weight.double(), None if bias is None else bias.double(), padding=padding, dilation=dilation
    )
    assert y._base is None
    if x.shape[1] > 1 and y.shape[2] > 1:  # or else PyTorch cannot tell how its operand lies
        assert lies_channels_last(y) == arranges
    assert float((y - expected).detach().abs().max()) <= 1e-5 * float(expected.detach().abs().max())
    grad = torch.cos(torch.arange(y.numel(), dtype=torch.float32)).view(y.shape)
    (found,) = torch.autograd.grad(y, ours, arrange_channels_last(grad) if arranged_gradient else grad)
    (wanted,) = torch.autograd.grad(expected, exact, grad.double())
    assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


LEFT = {
    "a stride": {"stride": 2},
    "groups": {"groups": 2},
    "more padding than taps": {"padding": 30},
    "a padding of which one side is longer": {"padding": "same", "dilation": 3},
}


@pytest.mark.parametrize("name", LEFT)
def test_what_it_cannot_do_is_left_to_pytorch(name):
    channels = 8 if name == "groups" else 16
    assert plan_convolution(torch.zeros(1, 16, 9000), torch.zeros(16, channels, 4), None, **LEFT[name]) is None


def test_small_convolutions_are_left_to_pytorch():
    assert plan_convolution(torch.zeros(1, 16, 100), torch.zeros(16, 16, 3)) is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_left_to_pytorch(dtype):
    x, weight = torch.zeros(1, 16, 9000, dtype=dtype), torch.zeros(16, 16, 4, dtype=dtype)
    assert plan_convolution(x, weight) is None
