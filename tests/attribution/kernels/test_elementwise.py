"""The compiled secants have the bits of PyTorch's own arithmetic, and are None for what they do not take."""

import functools

import torch
from hypothesis import given
from hypothesis import strategies as st

from multipliers import needs_loops, plain_rules, reference_pairs
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.kernels import elementwise as kernels
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules import elementwise
from seqlight.attribution.rules.elementwise import Rounding

pytestmark = needs_loops


@given(reference_pairs(), st.sampled_from(Rounding), st.booleans())
def test_secant(both, rounding, nearly):
    x1, x0 = both
    if nearly:
        x0 = (repeat_like(x1, x0) * (1 + 1e-5 * torch.rand_like(x0))).contiguous()
    y1, y0, slope = torch.sin(x1), torch.sin(x0), torch.cos(x1)
    near, allowed = elementwise.smallest_step(x1.dtype), elementwise.rounding_error(x1.dtype, rounding)
    found = kernels.secant(x1, y1, slope, x0, y0, near, allowed, by_input=rounding is Rounding.INPUT)
    secant = functools.partial(elementwise.secant, rounding=rounding)
    with plain_rules():
        expected = secant(x1, y1, slope, x0, y0)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@given(reference_pairs())
def test_relu(both):
    x1, x0 = both
    grad = torch.cos(x0).nan_to_num()
    found = kernels.relu_vjp(grad, x1, x0, elementwise.smallest_step(x1.dtype))
    slope = (x1 > 0).to(x1.dtype)
    arguments = x1, torch.relu(x1), slope, x0, torch.relu(x0)
    with plain_rules():
        expected = grad * elementwise.secant(*arguments)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def test_tensors_that_kernels_do_not_take():
    x = torch.randn(2, 3, 4)
    assert kernel_for("elementwise.relu_vjp", "cpu", torch.half) is None
    assert kernels.relu_vjp(x.half(), x.half(), x.half(), 1e-6) is None
    assert kernels.relu_vjp(x, x.transpose(1, 2), x.transpose(1, 2), 1e-6) is None
    assert kernel_for("elementwise.relu_vjp", "meta", torch.float32) is None
    assert kernels.relu_vjp(x.to("meta"), x.to("meta"), x.to("meta"), 1e-6) is None
    assert kernels.relu_vjp(x[:0], x[:0], x[:0], 1e-6) is None
    assert kernels.secant(x, x, x, x.double(), x.double(), 1e-6, 0) is None


def test_a_forked_process_has_threads_of_its_own():
    """Threads do not survive a fork; work in the child must not wait for them."""
    import os

    x = torch.randn(4, 100_000)
    torch.set_num_threads(max(2, torch.get_num_threads()))
    kernels.relu_vjp(x, x, x, 1e-6)
    child = os.fork()
    if not child:
        import signal

        signal.alarm(20)
        os._exit(0 if kernels.relu_vjp(x, x, x, 1e-6) is not None else 1)
    assert os.waitpid(child, 0)[1] == 0
