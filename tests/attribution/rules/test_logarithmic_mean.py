"""Logarithmic means are right to rounding, for equal numbers and for all others."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlight.attribution.rules.logarithmic_mean import finite_steps, logarithmic_mean


@given(st.integers(0, 2**31), st.sampled_from([torch.float32, torch.float64]))
def test_means_have_the_digits_that_their_difference_has(seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.empty(300, dtype=torch.float64).uniform_(-9, 1, generator=generator)
    step = -torch.rand(300, dtype=torch.float64, generator=generator) * 10**sizes
    step[:2] = torch.tensor([0.0, -80.0])
    step, b = step.to(dtype), torch.rand(300, dtype=torch.float64, generator=generator).to(dtype)
    a = (b.double() * step.double().exp()).to(dtype)
    # Without a difference of nearly equal numbers.
    wanted = b.double() * torch.where(step == 0, 1, torch.expm1(step.double()) / torch.where(step == 0, 1, step))
    # The difference of two rounded numbers has an error of `eps` over the step; at its worst the mean takes half.
    rtol = torch.finfo(dtype).eps ** 0.5 / 4
    for difference, way in ((a - b, step), (b - a, -step)):
        found = logarithmic_mean(difference, (a + b) / 2, way.clone())
        torch.testing.assert_close(found.double(), wanted, rtol=rtol, atol=0)


@given(st.integers(0, 2**31))
def test_means_times_steps_are_the_differences(seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, 300, generator=generator)
    step = (a.double() / b.double()).log().float()
    found = logarithmic_mean(a - b, (a + b) / 2, step.clone())
    torch.testing.assert_close(found * step, a - b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_infinite_and_enormous_steps_are_brought_into_range(dtype):
    inf, most = torch.inf, torch.finfo(dtype).max
    step = finite_steps(torch.tensor([inf, -inf, torch.nan, most, -most, 2.0], dtype=dtype))
    assert bool(step.isfinite().all())
    assert step[2] == 0
    assert step[5] == 2
    one = torch.ones(6, dtype=dtype)
    means = logarithmic_mean(one.clone(), one / 2, step)
    assert bool((means.abs() < 1e-12)[[0, 1, 3, 4]].all())
    assert means[2] == 0.5
