"""Triton's multipliers of softmax are those of the plain rule, and explain the differences of outputs."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multipliers import DTYPES, plain_rules, reference_pairs
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.rules import softmax
from seqlight.attribution.rules.logarithmic_mean import nearness
from triton_interpreter import interpreted_kernels, needs_interpreter

pytestmark = needs_interpreter
pytest.importorskip("triton")

from seqlight.attribution.kernels.triton import row_blocks  # noqa: E402
from seqlight.attribution.kernels.triton import softmax as kernels  # noqa: E402


def long_rows(dtype):
    """Rows longer than a block, of which a program has several parts."""
    generator = torch.Generator().manual_seed(0)
    x1, x0 = (torch.randn(n, 2100, generator=generator, dtype=torch.float64).to(dtype) for n in (1, 2))
    return x1, x0


@settings(max_examples=10)
@given(reference_pairs(), st.sampled_from([1.0, 30.0, 1e-3]))
@example(long_rows(torch.float32), 1.0)
@example(long_rows(torch.float64), 30.0)
def test_multipliers_and_gradient(both, size):
    x1, x0 = (size * one.nan_to_num(0, 3, -3) for one in both)
    if x0.shape[-1] != x1.shape[-1]:
        return
    recorded, reference, dim = (x1, x1.softmax(-1)), (x0, x0.softmax(-1)), x0.ndim - 1
    with interpreted_kernels():
        found = softmax.softmax_multipliers(recorded, reference, dim)
    with plain_rules():
        expected = softmax.softmax_multipliers(recorded, reference, dim)
    dx = repeat_like(x1, x0) - x0
    rise = repeat_like(x1.logsumexp(-1, keepdim=True), x0[..., :1]) - x0.logsumexp(-1, keepdim=True)
    if x0.dtype == torch.float64:
        for a, b, step in zip(found, expected, (dx, dx - rise), strict=True):
            # The plain rule takes the difference of logsumexps, each of which is rounded.
            rounded = 1e-15 * size * 4 / step.abs().clamp(min=1e-10)
            assert ((a - b).abs() <= 1e-6 * b.abs() + 1e-9 + rounded).all()
    # In float32 a small step is rounding noise, but what it is multiplied with is as small.
    noise = 1e-4 * (1 + size) if x0.dtype == torch.float32 else 1e-9 * (1 + size)
    torch.testing.assert_close((found[0] * dx).sum(-1, keepdim=True), rise, rtol=1e-4, atol=noise)
    torch.testing.assert_close(
        found[1] * (dx - rise), repeat_like(x1.softmax(-1), x0) - x0.softmax(-1), rtol=1e-3, atol=noise
    )
    grad = torch.cos(x0)
    pulled = kernels.softmax_vjp(grad, *found)
    with plain_rules():
        slowly = softmax.softmax_vjp(grad, *found, dim)
    torch.testing.assert_close(pulled, slowly)
    half = kernels.softmax_vjp_in_place(grad, recorded, reference, nearness(x0.dtype))
    torch.testing.assert_close(grad, slowly, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(half, (repeat_like(recorded[1], x0) + reference[1]) / 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_masked_and_what_is_no_number(dtype):
    """Where minus infinity hides an element it has no multiplier; NaN stays in its row."""
    x1 = torch.tensor([[0.0, 1.0, -torch.inf], [0.0, 1.0, 2.0], [0.0, torch.nan, 1.0]], dtype=dtype)
    x0 = torch.tensor([[1.0, 1.0, -torch.inf], [3.0, -torch.inf, 2.0], [0.0, 2.0, 1.0]], dtype=dtype)
    recorded, reference = (x1, x1.softmax(-1)), (x0, x0.softmax(-1))
    found = kernels.softmax_multipliers(recorded, reference, nearness(dtype))
    with plain_rules():
        expected = softmax.softmax_multipliers(recorded, reference, 1)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)


def test_tensors_that_kernels_do_not_take():
    x, wide = torch.randn(2, 3, 4), torch.randn(2, 3, 8)
    near = 1e-6
    assert kernels.softmax_multipliers((x.half(), x.half()), (x.half(), x.half()), near) is None
    assert kernels.softmax_multipliers((x.mT, x.mT), (x.mT, x.mT), near) is None
    assert kernels.softmax_multipliers((x, x), (wide, wide), near) is None
    assert kernels.softmax_vjp_in_place(x.mT, (x.mT, x.mT), (x.mT, x.mT), near) is None
    assert kernels.softmax_vjp(x.half(), x.half(), x.half()) is None
    assert kernels.softmax_vjp(x[:0], x[:0], x[:0]) is None


def test_blocks_cover_all_rows():
    for shape, programs, rows, block in (((3, 5, 100), 1, 16, 128), ((17, 100), 2, 16, 128), ((3, 5000), 3, 1, 2048)):
        constants = {"ROWS": rows, "BLOCK": block, "num_warps": 8}
        assert row_blocks.blocks_of(torch.empty(shape)) == (programs, constants)
