"""Batch norm in evaluation mode is PyTorch's, in value and in gradient."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlight.attribution.kernels.batch_norm import BatchNorm, batch_norm
from seqlight.attribution.kernels.channels_last import arrange_channels_last, lies_channels_last


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.booleans(), st.booleans(), st.integers(0, 2**31))
def test_value_and_gradient_are_those_of_pytorch(shape, has_weight, has_bias, seed):
    generator = torch.Generator().manual_seed(seed)
    x, grad = (torch.randn(shape, generator=generator).requires_grad_() for _ in range(2))
    mean, weight, bias = (torch.randn(shape[1], generator=generator) for _ in range(3))
    variance = torch.rand(shape[1], generator=generator)
    given = [mean, variance, weight if has_weight else None, bias if has_bias else None]
    ours, expected = (function(x, *given, eps=1e-3) for function in (batch_norm, F.batch_norm))
    assert isinstance(ours.grad_fn, BatchNorm._backward_cls)
    assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-4)
    found, wanted = (torch.autograd.grad(y, x, grad)[0] for y in (ours, expected))
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_channels_stay_last():
    x = arrange_channels_last(torch.randn(2, 3, 4)).requires_grad_()
    assert lies_channels_last(batch_norm(x, torch.zeros(3), torch.ones(3)))


def test_statistics_of_the_batch_are_left_to_pytorch():
    x = torch.randn(4, 3, 5)
    assert torch.equal(batch_norm(x, None, None, training=True), F.batch_norm(x, None, None, training=True))
    with pytest.raises(RuntimeError, match="running_mean"):
        batch_norm(x, torch.zeros(2), torch.ones(2))
