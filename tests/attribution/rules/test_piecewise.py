"""What is smooth in pieces has a mean Jacobian that is found to rounding; what jumps has none."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call
from seqlight.attribution.rules.piecewise import piecewise_vjp


def pulled(function, x1, x0, grad):
    call = Call.from_arguments("op", function, (x0.clone().requires_grad_(),), {})
    return piecewise_vjp(call, (x1, function(x1)), (x0, function(x0)), grad)


def randoms(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def threshold(z):
    """The threshold of a sparsemax."""
    ordered = z.sort(-1, descending=True).values
    return ((ordered.cumsum(-1) - 1) / torch.arange(1, z.shape[-1] + 1)).amax(-1, keepdim=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 10**6), st.sampled_from([0.1, 1.0, 30.0]))
def test_rows_add_up_each_by_itself(rows, length, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    x1, x0, grad = (scale * torch.randn(rows, length, generator=generator, dtype=torch.float64) for _ in range(3))
    found = pulled(lambda z: F.relu(z - threshold(z)), x1, x0, grad)
    y1, y0 = (F.relu(z - threshold(z)) for z in (x1, x0))
    wanted = ((y1 - y0) * grad).sum(-1)
    torch.testing.assert_close((found * (x1 - x0)).sum(-1), wanted, rtol=1e-9, atol=1e-9 * scale)


def test_it_is_the_integral():
    x1, x0, grad = randoms((3, 5), (3, 5), (3, 1))
    found, points = pulled(threshold, x1, x0, grad), 4000
    total = torch.zeros_like(x0)
    for k in range(points):
        at = (x0 + (x1 - x0) * (k + 0.5) / points).requires_grad_()
        total += torch.autograd.grad(threshold(at), at, grad)[0] / points
    torch.testing.assert_close(found, total, rtol=1e-3, atol=1e-3)


def test_rows_and_references_may_be_in_any_dimension():
    x1, x0, grad = randoms((4, 2, 3), (4, 6, 3), (6, 3))
    found = pulled(lambda z: threshold(z.movedim(0, -1))[..., 0], x1, x0, grad)
    same = pulled(lambda z: threshold(z)[..., 0], x1.movedim(0, -1), x0.movedim(0, -1), grad)
    torch.testing.assert_close(found.movedim(0, -1), same)


def test_rows_that_depend_on_each_other_are_integrated_with_their_batch():
    x1, x0, grad = randoms((2, 3, 4), (6, 3, 4), (6, 3, 4))

    def function(z):
        return F.relu(z + z.sum((1, 2), keepdim=True))

    found = pulled(function, x1, x0, grad)
    x1 = x1.repeat(3, 1, 1)
    wanted = ((function(x1) - function(x0)) * grad).sum((1, 2))
    torch.testing.assert_close((found * (x1 - x0)).sum((1, 2)), wanted, rtol=1e-9, atol=1e-9)


def test_float32_is_integrated_in_double_where_that_can_be():
    x1, x0, grad = (one.float() for one in randoms((3, 5), (3, 5), (3, 1)))
    wanted = pulled(threshold, x1.double(), x0.double(), grad.double())
    torch.testing.assert_close(pulled(threshold, x1, x0, grad), wanted.float())

    def narrow(z):
        return threshold(z.float())

    torch.testing.assert_close(pulled(narrow, x1, x0, grad), wanted.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "function",
    [
        lambda z: z + (z > 0.1),
        lambda z: z * (z > 0.5).sum(-1, keepdim=True),
        lambda z: z.detach() + 0 * z,
        lambda z: z.log() * 0 + z,
    ],
)
def test_jumps_and_nan_are_not_explained(function):
    x1, x0, grad = randoms((3, 5), (3, 5), (3, 5))
    assert pulled(function, x1, x0, grad) is None


def test_other_dtypes_are_not_taken():
    x1, x0, grad = (one.half() for one in randoms((3, 5), (3, 5), (3, 5)))
    assert pulled(lambda z: z * 2, x1, x0, grad) is None


def test_equal_infinities_do_not_differ():
    x1, x0, grad = randoms((3, 5), (3, 5), (3, 1))
    wanted = pulled(threshold, x1[:, :4], x0[:, :4], grad)
    x1[:, 4] = x0[:, 4] = -torch.inf

    def cut(z):
        ordered = z.sort(-1, descending=True).values.cumsum(-1)
        return ((ordered - 1) / torch.arange(1, 6)).amax(-1, keepdim=True)

    torch.testing.assert_close(pulled(cut, x1, x0, grad)[:, :4], wanted)


def test_a_function_undefined_between_its_inputs_is_not_explained():
    x1, x0, grad = randoms((1, 4), (1, 4), (1, 4))

    def choosy(z):
        if not (torch.equal(z, x1) or torch.equal(z, x0)):
            raise IndexError("index -1 is out of bounds")
        return z * 2

    assert pulled(choosy, x1, x0, grad) is None


@pytest.mark.reliability(
    "accelerators",
    "memory that runs out while an operation without a rule is integrated in float64",
    "a smaller batch is integrated in float64, too: results do not depend on how much memory there is",
)
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("..."), RuntimeError("MPS backend out of memory")])
def test_memory_that_runs_out_is_no_reason_for_fewer_digits(error):
    def function(z):
        if z.dtype == torch.float64:
            raise error
        return threshold(z)

    x1, x0, grad = (one.float() for one in randoms((3, 5), (3, 5), (3, 1)))
    with pytest.raises(type(error)):
        pulled(function, x1, x0, grad)
