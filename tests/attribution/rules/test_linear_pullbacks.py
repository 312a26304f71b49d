"""What goes back through convolutions and batch norm: PyTorch's own gradients, and derivatives of them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlight.attribution.rules.linear_pullbacks import linear_pullback


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 2), st.integers(1, 4), st.integers(1, 5), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3),
    st.sampled_from([0, 1, 2, "valid", "same"]), st.integers(0, 99),
)  # fmt: skip
def test_the_pullback_of_a_convolution_is_its_gradient(n, channels, width, groups, stride, dilation, padding, seed):
    torch.manual_seed(seed)
    stride = 1 if padding == "same" else stride
    x = torch.randn(2, channels * groups, *[14] * n, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2 * groups, channels, *[width] * n, dtype=torch.float64)
    function = torch.conv1d if n == 1 else torch.conv2d
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = function(x, weight, **settings)
    grad = torch.randn_like(y)
    pull = linear_pullback(function, (x, weight), settings)
    if pull is None:
        assert padding == "same"
        assert dilation * (width - 1) % 2
        return
    torch.testing.assert_close(pull(grad), torch.autograd.grad(y, x, grad)[0])


@pytest.mark.parametrize("filters", [2, 20])  # with few, and with so many that one product is taken
def test_its_derivatives_are_those_of_finite_differences(filters):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 7, dtype=torch.float64)
    weight = torch.randn(filters, 3, 3, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(2, filters, 3, dtype=torch.float64, requires_grad=True)

    def pulled(grad, weight):
        pull = linear_pullback(torch.conv1d, (x, weight, None, 2, 1, (2,)), {})
        return pull(grad)

    assert torch.autograd.gradcheck(pulled, (grad, weight), fast_mode=True)
    assert torch.autograd.gradgradcheck(pulled, (grad, weight), fast_mode=True)


def test_the_pullback_of_batch_norm_is_its_gradient():
    torch.manual_seed(0)
    x, mean, var = torch.randn(2, 3, 5, requires_grad=True), torch.randn(3), torch.rand(3) + 0.1
    for weight in (None, torch.randn(3)):
        y = F.batch_norm(x, mean, var, weight)
        (expected,) = torch.autograd.grad(y.square().sum(), x)
        torch.testing.assert_close(linear_pullback(F.batch_norm, (x, mean, var, weight), {})(2 * y), expected)
    assert linear_pullback(F.batch_norm, (x, mean, var), {"training": True}) is None
    assert linear_pullback(F.batch_norm, (x, None, None), {"training": True}) is None


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 2, 2)])
@pytest.mark.parametrize("weighted", [True, False])
def test_derivatives_of_that_of_batch_norm_are_those_of_finite_differences(shape, weighted):
    torch.manual_seed(0)
    x, var = torch.randn(shape, dtype=torch.float64), torch.rand(3, dtype=torch.float64) + 0.1
    grad = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, dtype=torch.float64, requires_grad=True) if weighted else None

    def pulled(grad, weight):
        return linear_pullback(F.batch_norm, (x, torch.randn(3).double(), var, weight), {})(grad)

    assert torch.autograd.gradcheck(pulled, (grad, weight), fast_mode=True)
    assert torch.autograd.gradgradcheck(pulled, (grad, weight), fast_mode=True)


def test_batch_norm_of_several_dtypes_is_left_to_pytorch():
    x, ones = torch.ones(2, 3, dtype=torch.float64), torch.ones(3)
    assert linear_pullback(F.batch_norm, (x, ones, ones, ones), {}) is None
