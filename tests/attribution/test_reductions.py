"""What is reduced on the device, against all contributions at once."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlight.attribution.contributions import Block
from seqlight.attribution.reductions import (
    keep_multipliers,
    reduce_to_mean,
    reduce_to_moments,
    reduce_to_standard_error,
)


def made(n, seed, dtype=torch.float32):
    """Return a block of two sequences with three targets and `n` references, and its contributions in float64."""
    torch.manual_seed(seed)
    m, r = torch.randn(2, 3, n, 4, 5, dtype=dtype), torch.randn(2, n, 4, 5, dtype=dtype)
    figures = torch.zeros(2, 3, n, dtype=dtype), torch.zeros(2, 3, dtype=dtype), torch.zeros(2, 3, n, dtype=dtype)
    each = m.double() - (m.double() * r.double().unsqueeze(1)).sum(dim=3, keepdim=True)
    return Block((m,), (r,), *figures), each


@given(st.integers(1, 6), st.integers(0, 2**31), st.sampled_from([torch.float32, torch.float64]))
def test_reductions_are_those_of_all_contributions(n, seed, dtype):
    block, each = made(n, seed, dtype)
    (mean,) = reduce_to_mean(block)
    same, error = reduce_to_standard_error(block)
    exact, squares = reduce_to_moments(block)
    assert mean.dtype == same.dtype == error.dtype == dtype
    assert exact.dtype == squares.dtype == torch.float64
    assert torch.equal(mean, each.mean(dim=2).to(dtype))
    assert torch.equal(mean, same)
    torch.testing.assert_close(squares, ((each - each.mean(dim=2, keepdim=True)) ** 2).sum(dim=2))
    if n == 1:
        assert error.isnan().all()
    else:
        torch.testing.assert_close(error.double(), each.std(dim=2) / n**0.5, rtol=1e-6, atol=1e-7)


def test_half_precision_is_reduced_to_float32():
    block, each = made(3, 0, torch.bfloat16)
    (mean,) = reduce_to_mean(block)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean, each.mean(dim=2).float())


def test_multipliers_can_be_kept():
    block, _ = made(2, 0)
    assert keep_multipliers(block) is block.multipliers
