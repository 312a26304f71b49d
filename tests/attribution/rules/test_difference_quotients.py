"""Secants and slopes, chosen by arithmetic on a CPU, are those that comparisons choose."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlight.attribution.rules.difference_quotients import secant_or_slope

SMALLEST = torch.finfo(torch.float32).tiny


def operands(seed, dtype):
    """Return inputs, outputs and slopes of two sequences, and inputs and outputs of their six references."""
    generator = torch.Generator().manual_seed(seed)
    x1 = torch.randn(2, 50, generator=generator)
    # Steps of all sizes, so that both happen; some are 0 or infinite.
    step = torch.randn(3, 2, 50, generator=generator) * 10 ** torch.empty(3, 2, 50).uniform_(-9, 1, generator=generator)
    x0 = x1 + step
    x0[:, :, :5], x0[0, 0, 5] = x1[:, :5], torch.inf
    return tuple(
        one.to(dtype) for one in (x1, x1.tanh(), 1 - x1.tanh() ** 2, x0.flatten(0, 1), x0.tanh().flatten(0, 1))
    )


def compared(x1, y1, slope1, x0, y0, noise):
    """Return the same by comparisons."""
    x1, y1, slope1 = (one.repeat(3, 1) for one in (x1, y1, slope1))
    dx, dy = x1 - x0, y1 - y0
    far = dx.abs() >= SMALLEST
    if noise is not None:
        far &= ~(torch.addcmul(dy, slope1, dx, value=-1).abs() < noise.repeat(3, 1))
    return torch.where(far, dy / dx, slope1)


@given(st.integers(0, 2**31), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]), st.booleans())
def test_arithmetic_chooses_what_comparisons_choose(seed, dtype, rounds):
    x1, y1, slope1, x0, y0 = operands(seed, dtype)
    noise = y1.abs() * 1e-6 if rounds else None
    found = secant_or_slope(x1, y1, slope1, x0, y0, noise, SMALLEST, False)
    assert torch.equal(found, compared(x1, y1, slope1, x0, y0, noise))


def test_infinite_slopes_explain_nothing():
    x1, x0 = torch.tensor([[0.0, 0.0, 4.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    found = secant_or_slope(x1, x1.sqrt(), 0.5 / x1.sqrt(), x0, x0.sqrt(), x1.sqrt() * 1e-6, SMALLEST, False)
    assert torch.equal(found, torch.tensor([[1.0, torch.inf, 1 / 3]]))


@pytest.mark.parametrize("seed", range(3))
def test_a_device_chooses_what_a_cpu_chooses(seed, pretend):
    of = operands(seed, torch.float32)
    noise = of[1].abs() * 1e-6
    there = secant_or_slope(*(one.to("pretend") for one in (*of, noise)), SMALLEST, False)
    assert torch.equal(there.cpu(), secant_or_slope(*of, noise, SMALLEST, False))
