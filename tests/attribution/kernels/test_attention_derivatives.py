"""The derivatives of attention a head at a time: those of autograd in float64, to the digits of float32."""

import pytest
import torch
from torch.nn import functional as F

from multipliers import needs_wide_registers
from seqlight.attribution.kernels import attention as kernel
from seqlight.attribution.kernels.attention import Operands, Settings
from seqlight.attribution.kernels.attention_derivatives import attention_derivatives, attention_slopes
from seqlight.attribution.rules.attention_multiplier import attention_formula
from seqlight.attribution.rules.logarithmic_mean import nearness
from seqlight.native import threads

NEARNESS = nearness(torch.float32)

pytestmark = needs_wide_registers


def some(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def operands(outer, queries, keys, width, values, seed=0):
    shapes = (queries, width), (keys, width), (keys, values)
    return [some(*outer, *shape, seed=seed + i) for i, shape in enumerate(shapes)]


def laid_out(x, way):
    """The same numbers elsewhere in memory."""
    if way == "positions before heads":
        return x.transpose(-3, -2).contiguous().transpose(-3, -2)
    return x.mT.contiguous().mT if way == "turned" else x


def derivatives(sequences, references, biases, given, grad, scale=0.3):
    """What the loops say of one call."""
    seen, own = (
        kernel.record(Operands(*of), Settings(bias, scale))[1]
        for of, bias in zip((sequences, references), biases, strict=True)
    )
    at_grad, at_1, at_0 = attention_derivatives(Operands(*given), grad, seen, own, scale, NEARNESS)
    return at_grad, *at_1, *at_0


def by_formula(sequences, references, biases, given, grad, scale=0.3):
    """What autograd makes of the formula in float64."""
    biases = [None if one is None else one.double() for one in biases]
    # A row for each reference, as the loops have them.
    ones = [
        one.repeat(len(other) // len(one), *[1] * (one.ndim - 1))
        for one, other in zip(sequences, references, strict=True)
    ]
    leaves = [one.double().requires_grad_() for one in (grad, *ones, *references)]
    found = attention_formula(*biases, scale, *leaves)
    return torch.autograd.grad(found, leaves, [one.double() for one in given])


@pytest.mark.parametrize("way", ["as it is", "positions before heads", "turned"])
@pytest.mark.parametrize(
    ("outer", "of"),
    [((2, 3), (5, 4, 3, 2)), ((3,), (40, 33, 8, 20)), ((1, 2), (33, 70, 16, 16)), ((2, 1, 2), (9, 17, 35, 1))],
)
def test_slopes_are_those_of_autograd(outer, of, way):
    inputs, grad = operands(outer, *of), some(*outer, of[0], of[3], seed=9)
    y, seen = kernel.record(Operands(*(laid_out(one, way) for one in inputs)), Settings(None, 0.3))
    found = attention_slopes(laid_out(grad, way), seen, 0.3)
    leaves = [one.double().requires_grad_() for one in inputs]
    expected_y = F.scaled_dot_product_attention(*leaves, scale=0.3)
    torch.testing.assert_close(y.double(), expected_y, rtol=1e-5, atol=1e-6)
    for one, other in zip(found, torch.autograd.grad(expected_y, leaves, grad.double()), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)


CASES = {
    "short": ((8, 4), 1, (12, 9, 4, 3), 1.0),
    "many": ((1, 2), 1, (75, 75, 16, 16), 1.0),
    "several references": ((2, 2), 3, (34, 33, 8, 20), 1.0),
    "wide heads": ((2,), 2, (20, 65, 33, 5), 1.0),
    "large steps": ((1, 1, 2), 1, (20, 20, 4, 4), 3.0),
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_those_of_the_formula_in_float64(name, masked):
    outer, n, of, step = CASES[name]
    sequences, more = operands(outer, *of), (n * outer[0], *outer[1:])
    references = [
        one.repeat(n, *[1] * (one.ndim - 1)) + step * some(*more, *one.shape[-2:], seed=7) for one in sequences
    ]
    given, grad = operands(more, *of, seed=20), some(*more, of[0], of[3], seed=9)
    bias = some(of[0], of[1], seed=11) if masked else None
    if masked:
        bias = bias.masked_fill(bias > 1, -torch.inf)
        bias[:, 0] = 0  # each sees something
    case = sequences, references, (bias, bias), given, grad
    for one, expected in zip(derivatives(*case), by_formula(*case), strict=True):
        assert one.shape == expected.shape
        assert float((one - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


def test_derivatives_where_nothing_changes_are_those_of_a_small_step():
    sequences, given = operands((2, 2), 34, 20, 8, 5), operands((2, 2), 34, 20, 8, 5, seed=20)
    rest = (None, None), given, some(2, 2, 34, 5, seed=9)
    near = [one.double() + 1e-3 * some(*one.shape, seed=3) for one in sequences]
    found, expected = derivatives(sequences, sequences, *rest), by_formula(sequences, near, *rest)
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max()) <= 1e-2 * float(other.abs().max())


@pytest.mark.parametrize("way", ["positions before heads", "turned"])
def test_it_makes_no_difference_how_tensors_lie_in_memory(way):
    of = [operands((n, 3), 40, 20, 18, 5, seed=i) for i, n in enumerate((2, 4, 4))]
    grad = some(4, 3, 40, 5, seed=9)
    expected = derivatives(of[0], of[1], (None, None), of[2], grad)
    sequences, references, given = ([laid_out(one, way) for one in each] for each in of)
    found = derivatives(sequences, references, (None, None), given, laid_out(grad, way))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_row_has_the_same_bits_in_any_batch_and_on_any_thread(monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_TEAM", 1)
    of = [operands((3, 2), 40, 20, 16, 16, seed=i) for i in range(3)]
    grad, before = some(3, 2, 40, 16, seed=9), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        whole = derivatives(of[0], of[1], (None, None), of[2], grad)
    finally:
        torch.set_num_threads(before)
    one = derivatives(*([x[1:2] for x in each] for each in of[:2]), (None, None), [x[1:2] for x in of[2]], grad[1:2])
    assert all(torch.equal(few[0], many[1]) for few, many in zip(one, whole, strict=True))


def test_nan_stays_in_its_head():
    sequences, references, given = (operands((2, 3), 20, 20, 8, 8, seed=i) for i in range(3))
    references[0][1, 2, 5] = torch.nan
    found = derivatives(sequences, references, (None, None), given, some(2, 3, 20, 8, seed=9))
    for one in found:
        assert one.flatten(2).isnan().any(dim=2).nonzero().tolist() == [[1, 2]]
