"""The mean is PyTorch's, in value and in gradient, and its gradient takes no memory."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlight.attribution.kernels.averages import mean


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.data())
def test_value_and_gradient_are_those_of_pytorch(shape, data):
    dims = data.draw(st.one_of(st.none(), st.sets(st.integers(-len(shape), -1)).map(tuple)))
    keepdim, dtype = (
        data.draw(st.booleans()),
        data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16])),
    )
    x = torch.randn(shape, dtype=dtype).requires_grad_()
    ours, expected = (function(x, dims, keepdim) for function in (mean, torch.mean))
    assert torch.equal(ours.nan_to_num(7), expected.nan_to_num(7))
    found, wanted = (torch.autograd.grad(y.sum(), x)[0] for y in (ours, expected))
    assert torch.allclose(found, wanted, rtol=1e-6, atol=0)


def test_the_gradient_takes_no_memory():
    x = torch.randn(2, 3, 1000, requires_grad=True)
    (grad,) = torch.autograd.grad(mean(x, -1).sum(), x)
    assert grad.stride(-1) == 0


def test_other_arguments_are_left_to_pytorch():
    x = torch.arange(6).view(2, 3)
    assert torch.equal(mean(x, 1, dtype=torch.float32), torch.tensor([1.0, 4.0]))
    assert torch.equal(mean(torch.ones(2, 3), axis=1), torch.ones(2))
    with pytest.raises(RuntimeError, match="dtype"):
        mean(x)
