"""Quotients and tangents, chosen by arithmetic, are those that comparisons choose."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlight.attribution.rules.difference_quotients import quotient_or_tangent

NOISE, SMALLEST = 2e-6, 1e-6


def steps(seed, dtype):
    """Return differences of outputs and inputs, and slopes."""
    generator = torch.Generator().manual_seed(seed)
    # Of all sizes, so that both happen; some steps are 0 or not a number, and some are explained by the tangent.
    dx = torch.randn(200, generator=generator) * 10 ** torch.empty(200).uniform_(-8, 1, generator=generator)
    tangent = torch.rand(200, generator=generator)
    dy = tangent * dx + torch.randn(200, generator=generator) * 10 ** torch.empty(200).uniform_(
        -9, 0, generator=generator
    )
    dx[:5], dy[5:10], dx[10], dx[11] = 0, 0, torch.nan, torch.inf
    return dy.to(dtype), dx.to(dtype), tangent.to(dtype)


@given(st.integers(0, 2**31), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_arithmetic_chooses_what_comparisons_choose(seed, dtype):
    dy, dx, tangent = steps(seed, dtype)
    excess = torch.addcmul(dy, tangent, dx, value=-1).abs().sub(tangent, alpha=NOISE)
    takes_quotient = (dx.abs() - SMALLEST > 0) & (excess > 0)
    wanted = torch.where(takes_quotient, dy / dx, tangent)
    found = quotient_or_tangent(dy, dx, tangent, NOISE, SMALLEST)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_it_takes_tangents_that_broadcast(dtype):
    tangent = torch.tensor([0.25, 0.5], dtype=dtype)
    dy, dx = torch.ones(3, 2, dtype=dtype), torch.full((3, 2), 2, dtype=dtype)
    assert torch.equal(quotient_or_tangent(dy, dx, tangent, NOISE, SMALLEST), torch.full((3, 2), 0.5, dtype=dtype))


@pytest.mark.parametrize("seed", range(3))
def test_a_device_chooses_what_a_cpu_chooses(seed, pretend):
    dy, dx, tangent = steps(seed, torch.float32)
    there = quotient_or_tangent(*(one.to("pretend") for one in (dy, dx, tangent)), NOISE, SMALLEST)
    assert torch.equal(there.cpu(), quotient_or_tangent(dy, dx, tangent, NOISE, SMALLEST))
