"""Activation functions in Triton are PyTorch's, but for rounding, and so are slopes and gradients."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from multipliers import DTYPES, plain_rules, reference_pairs
from seqlight.attribution.kernels.smooth_activations import Activation
from seqlight.attribution.rules.elementwise import Rounding, rounding_error, secant, smallest_step
from triton_interpreter import needs_interpreter

pytestmark = needs_interpreter
triton = pytest.importorskip("triton")

import triton.language as tl  # noqa: E402

from seqlight.attribution.kernels.triton import smooth_activations as kernels  # noqa: E402
from seqlight.attribution.kernels.triton.launch import BLOCK, blocks, launch  # noqa: E402

FUNCTIONS = {
    Activation.GELU: F.gelu,
    Activation.GELU_TANH: lambda x: F.gelu(x, approximate="tanh"),
    Activation.SILU: F.silu,
    Activation.SIGMOID: torch.sigmoid,
}


@triton.jit
def _activations(y, slope, x, size, KIND: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    f, s = kernels.activation_of(tl.load(x + i, i < size, 0.0), KIND)
    tl.store(y + i, f, i < size)
    tl.store(slope + i, s, i < size)


def activation(x, kind):
    """Return a function of a contiguous `x`, and its slope, as the gradient has them."""
    y, slope = torch.empty_like(x), torch.empty_like(x)
    launch(_activations, blocks(x.numel()), y, slope, x, x.numel(), KIND=kind.value, BLOCK=BLOCK)
    return y, slope


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", Activation)
def test_activation_functions(kind, dtype):
    """As near to the truth as rounding of a few units in the last place leaves them."""
    far = torch.logspace(-30, 30, 101, dtype=dtype)
    x = torch.cat([torch.linspace(-30, 30, 2001, dtype=dtype), far, -far])
    leaf = x.double().requires_grad_()
    wanted = FUNCTIONS[kind](leaf)
    (slope,) = torch.autograd.grad(wanted.sum(), leaf)
    found, sloped = activation(x, kind)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), wanted.detach(), rtol=4 * eps, atol=2 * eps)
    torch.testing.assert_close(sloped.double(), slope, rtol=0, atol=25 * eps)
    if kind in (Activation.SILU, Activation.SIGMOID):  # far from 0, too, it has its digits
        torch.testing.assert_close(found.double(), wanted.detach(), rtol=8 * eps, atol=torch.finfo(dtype).tiny * 1e7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", Activation)
def test_activation_functions_of_values_that_are_not_finite(kind, dtype):
    x = torch.tensor([float("nan"), float("inf"), 0.0, -0.0, 3e38, -3e38], dtype=dtype)
    (found, slope), wanted = activation(x, kind), FUNCTIONS[kind](x.double()).to(dtype)
    torch.testing.assert_close(found, wanted, equal_nan=True)
    assert slope[1:].isfinite().all()
    assert activation(torch.full_like(x, -torch.inf), kind)[0].nan_to_num(0).eq(0).all()


@settings(max_examples=30)
@given(reference_pairs(), st.sampled_from(list(Activation)), st.sampled_from([1.0, 10.0, 1e-3]))
def test_gradients(both, kind, size):
    x1, x0 = (size * one for one in both)
    grad, dtype = torch.cos(x0).nan_to_num(), x0.dtype
    rounding = Rounding.INPUT if "GELU" in kind.name else Rounding.OUTPUT
    near, allowed = smallest_step(dtype), rounding_error(dtype, rounding)
    found = kernels.rescale_vjp(grad, x1, x0, kind, near, allowed)
    plain = functools.partial(secant, rounding=rounding)
    with plain_rules():
        expected = grad * plain(x1, *activation(x1, kind), x0, activation(x0, kind)[0])
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def test_more_than_a_block():
    torch.manual_seed(0)
    x1, x0 = torch.randn(2, 700, dtype=torch.float64), torch.randn(6, 700, dtype=torch.float64)
    near, allowed = smallest_step(x0.dtype), rounding_error(x0.dtype, Rounding.OUTPUT)
    found = kernels.rescale_vjp(torch.ones_like(x0), x1, x0, Activation.SIGMOID, near, allowed)
    expected = (x1.sigmoid().repeat(3, 1) - x0.sigmoid()) / (x1.repeat(3, 1) - x0)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


def test_tensors_that_kernels_do_not_take():
    x = torch.randn(2, 3, 4)
    vjp = functools.partial(kernels.rescale_vjp, kind=Activation.SILU, threshold=1e-6, rounding_error=1e-6)
    assert vjp(x.half(), x.half(), x.half()) is None
    assert vjp(x, x.mT, x.mT) is None
    assert vjp(x[:0], x[:0], x[:0]) is None
    assert vjp(x, x, x.double()) is None
