"""Max pooling by the compiled loops: what PyTorch returns, and its gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call
from seqlight.attribution.rules.pooled_maxima import pooled_maxima
from seqlight.native.library import library

pytestmark = pytest.mark.skipif(library() is None, reason="the loops are not compiled here")


def call_of(x, *args, **kwargs):
    call = Call.from_arguments("max_pool1d", F.max_pool1d_with_indices, (x, *args), kwargs)
    call.dependent = (0,)
    return call


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 4), st.integers(0, 2), st.integers(1, 2), st.booleans(), st.integers(0, 99),
    st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_maxima_positions_and_gradients_are_those_of_pytorch(size, stride, padding, dilation, ceil_mode, seed, dtype):
    torch.manual_seed(seed)
    # Few values, so that many are equal, infinities, and rows of nothing else.
    x = torch.randint(-2, 3, (2, 3, 17)).to(dtype)
    x[x == -2] = -torch.inf
    x[0, 0] = -torch.inf
    x[1, 1, seed % 17] = torch.nan if seed % 3 == 0 else torch.inf
    x.requires_grad_()
    padding = min(padding, size // 2)
    arguments = size, stride, padding, dilation, ceil_mode
    y, at = pooled_maxima(call_of(x, *arguments))
    expected, positions = F.max_pool1d_with_indices(x, *arguments)
    torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(at, positions)
    weights = torch.randn(y.shape, dtype=dtype)
    found, wanted = (torch.autograd.grad(one, x, weights)[0] for one in (y, expected))
    torch.testing.assert_close(found, wanted)


def test_derivatives_of_gradients_are_those_of_pytorch():
    x = torch.randn(2, 3, 9, dtype=torch.float64, requires_grad=True)

    def twice(y):
        (grad,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), x)[0]

    torch.testing.assert_close(twice(pooled_maxima(call_of(x, 3, 2))[0]), twice(F.max_pool1d(x, 3, 2)))


def test_what_the_loops_do_not_take_is_left_to_pytorch():
    x = torch.randn(2, 3, 8, requires_grad=True)
    assert pooled_maxima(call_of(x, 2)) is not None
    assert pooled_maxima(call_of(x.transpose(1, 2), 2)) is None
    assert pooled_maxima(call_of(x.half(), 2)) is None
    assert pooled_maxima(Call.from_arguments("amax", torch.amax, (x, -1), {})) is None
