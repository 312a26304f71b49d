"""Triton's secants, and gradients times them, have the bits of plain PyTorch; None for what kernels do not take."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from multipliers import DTYPES, plain_rules, reference_pairs
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.rules import elementwise
from seqlight.attribution.rules.elementwise import Rounding, rounding_error, smallest_step
from triton_interpreter import needs_interpreter

pytestmark = needs_interpreter
pytest.importorskip("triton")

from seqlight.attribution.kernels.triton import elementwise as kernels  # noqa: E402

SAME_BITS = {"rtol": 0, "atol": 0, "equal_nan": True}


def plain_secant(*of, **options):
    with plain_rules():
        return elementwise.secant(*of, **options)


@settings(max_examples=40)
@given(reference_pairs())
def test_relu(both):
    x1, x0 = both
    grad = torch.cos(x0).nan_to_num()
    found = kernels.relu_vjp(grad, x1, x0, smallest_step(x1.dtype))
    expected = grad * plain_secant(x1, torch.relu(x1), (x1 > 0).to(x1.dtype), x0, torch.relu(x0))
    torch.testing.assert_close(found, expected, **SAME_BITS)


@settings(max_examples=40)
@given(reference_pairs(), st.sampled_from(Rounding), st.booleans(), st.booleans())
def test_any_operation(both, rounding, nearly, infinite):
    x1, x0 = both
    if nearly:
        x0 = (repeat_like(x1, x0) * (1 + 1e-5 * torch.rand_like(x0))).contiguous()
    y1, y0, slope, grad = torch.sin(x1), torch.sin(x0), torch.cos(x1), torch.cos(x0).nan_to_num()
    if infinite:
        y1, y0 = y1.masked_fill(y1 > 0.5, -torch.inf), y0.masked_fill(y0 > 0.5, -torch.inf)
    numbers = smallest_step(x1.dtype), rounding_error(x1.dtype, rounding)
    options = {"by_input": rounding is Rounding.INPUT}
    expected = plain_secant(x1, y1, slope, x0, y0, rounding=rounding, infinite=infinite)
    found = kernels.rescale_vjp(grad, (x1, y1, slope), (x0, y0), *numbers, **options, infinite=infinite)
    torch.testing.assert_close(found, grad * expected, **SAME_BITS)
    if not infinite:
        torch.testing.assert_close(kernels.secant(x1, y1, slope, x0, y0, *numbers, **options), expected, **SAME_BITS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "n", "dimension"),
    [
        *(((1030,), 3, 0), ((2, 700), 3, 0), ((3, 1, 500), 4, 1), ((5, 1023), 2, 0), ((1, 1024), 3, 0)),
        *(((1025, 1), 2, 1), ((40, 7, 5), 3, 2), ((3, 2), 900, 1)),
    ],
)
def test_more_than_a_block(shape, n, dimension, dtype):
    """Blocks that begin and end inside of a span, and spans that are much longer or shorter."""
    torch.manual_seed(0)
    larger = list(shape)
    larger[dimension] *= n
    x1, x0 = torch.randn(shape, dtype=dtype), torch.randn(larger, dtype=dtype)
    grad = torch.randn_like(x0)
    found = kernels.relu_vjp(grad, x1, x0, smallest_step(dtype))
    expected = grad * plain_secant(x1, torch.relu(x1), (x1 > 0).to(dtype), x0, torch.relu(x0))
    torch.testing.assert_close(found, expected, **SAME_BITS)


def test_tensors_that_kernels_do_not_take():
    x = torch.randn(2, 3, 4)
    relu_vjp, rescale_vjp = functools.partial(kernels.relu_vjp, threshold=1e-6), kernels.rescale_vjp
    assert relu_vjp(x.half(), x.half(), x.half()) is None
    assert relu_vjp(x, x.transpose(1, 2), x.transpose(1, 2)) is None
    assert relu_vjp(x, x.to("meta"), x) is None
    assert relu_vjp(x[:0], x[:0], x[:0]) is None
    assert kernels.secant(x, x, x, x.double(), x.double(), 1e-6, 0) is None
    assert rescale_vjp(x, (x, x, x), (x[:1].expand(2, 3, 4), x), 1e-6, 0) is None
    assert rescale_vjp(x, (x, x, x), (x, x[:1]), 1e-6, 0) is None
    assert torch.equal(relu_vjp(x[:1].expand(2, 3, 4), x, x - 9), relu_vjp(x[:1].repeat(2, 1, 1), x, x - 9))


@pytest.mark.reliability(
    "accelerators",
    "the imaginary part of a single conjugate number, whose sign is not in memory, given to a kernel",
    "plain operations compute it, with the right sign",
)
def test_numbers_whose_sign_is_not_in_memory():
    x = torch.view_as_complex(torch.ones(1, 1, 2)).conj().imag
    assert x.is_neg()
    assert x.is_contiguous()
    assert kernels.relu_vjp(torch.ones(1, 1), x, x, 1e-30) is None
    assert kernels.relu_vjp(x, torch.ones(1, 1), torch.ones(1, 1), 1e-30) is None
