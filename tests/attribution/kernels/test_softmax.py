"""Compiled multipliers of softmax are those of the plain rule, and explain the differences of outputs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from multipliers import needs_loops, plain_rules, reference_pairs
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.kernels import softmax as kernels
from seqlight.attribution.rules import softmax
from seqlight.attribution.rules.logarithmic_mean import nearness
from seqlight.attribution.rules.softmax_multiplier import SoftmaxMultiplierFunction

pytestmark = needs_loops


@given(reference_pairs(), st.sampled_from([1.0, 30.0, 1e-3]))
def test_multipliers_and_gradient(both, size):
    x1, x0 = (size * one.nan_to_num(0, 3, -3) for one in both)
    if x0.shape[-1] != x1.shape[-1]:
        return
    recorded, reference, dim = (x1, x1.softmax(-1)), (x0, x0.softmax(-1)), x0.ndim - 1
    found = softmax.softmax_multipliers(recorded, reference, dim)
    with plain_rules():
        expected = softmax.softmax_multipliers(recorded, reference, dim)
    if x0.dtype == torch.float64:
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
    # In float32 a small step is rounding noise, but what it is multiplied with is as small.
    dx = repeat_like(x1, x0) - x0
    rise = repeat_like(x1.logsumexp(-1, keepdim=True), x0[..., :1]) - x0.logsumexp(-1, keepdim=True)
    noise = 1e-4 * (1 + size) if x0.dtype == torch.float32 else 1e-9 * (1 + size)
    torch.testing.assert_close((found[0] * dx).sum(-1, keepdim=True), rise, rtol=1e-4, atol=noise)
    torch.testing.assert_close(
        found[1] * (dx - rise), repeat_like(x1.softmax(-1), x0) - x0.softmax(-1), rtol=1e-3, atol=noise
    )
    grad = torch.cos(x0)
    pulled = softmax.softmax_vjp(grad, *found, dim)
    with plain_rules():
        slowly = softmax.softmax_vjp(grad, *found, dim)
    torch.testing.assert_close(pulled, slowly)


@given(reference_pairs(), st.sampled_from([1.0, 30.0, 1e-3]))
def test_softmax_inside_attention(both, size):
    x1, x0 = (size * one.nan_to_num(0, 3, -3) for one in both)
    if x0.shape[-1] != x1.shape[-1]:
        return
    recorded, reference, dim = (x1, x1.softmax(-1)), (x0, x0.softmax(-1)), x0.ndim - 1
    at_weights = torch.cos(x0)
    at_scores = at_weights.clone()
    half = kernels.softmax_vjp_in_place(at_scores, recorded, reference, nearness(x0.dtype))
    multipliers = softmax.softmax_multipliers(recorded, reference, dim)
    slowly = softmax.softmax_vjp(at_weights, *multipliers, dim)
    torch.testing.assert_close(at_scores, slowly, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(half, (repeat_like(recorded[1], x0) + reference[1]) / 2)


@pytest.mark.parametrize(
    ("width", "dtype"), [(1, torch.float64), (75, torch.float64), (7, torch.float32), (75, torch.float32)]
)
def test_derivatives_are_those_of_the_plain_rule(width, dtype):
    torch.manual_seed(0)
    g, grad, x1, x0 = torch.randn(4, 6, width, dtype=torch.float64)
    x0[0], x0[1] = x1[0], x1[1] + 2

    def derivatives(dtype):
        of = [one.to(dtype).requires_grad_() for one in (grad, x1, x0)]
        p1, p0 = (one.detach().softmax(-1) for one in of[1:])
        return torch.autograd.grad(SoftmaxMultiplierFunction.apply(1, *of, p1, p0), of, g.to(dtype))

    with plain_rules():
        expected, plain = derivatives(torch.float64), derivatives(dtype)
    # In float32 a quotient of small differences has few digits, however it is found.
    for one, other, true in zip(derivatives(dtype), plain, expected, strict=True):
        lost = (other - true).abs().max()
        torch.testing.assert_close(one.double(), true, rtol=1e-5, atol=float(2 * lost) + 1e-7)
