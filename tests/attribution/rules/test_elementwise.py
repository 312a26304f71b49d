"""The rule for elementwise operations against its definition, written slowly and literally."""

import itertools
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from multipliers import plain_rules
from seqlight.attribution.calls.call import Call
from seqlight.attribution.kernels import memory_layout
from seqlight.attribution.rules import elementwise, special_functions
from seqlight.attribution.rules.elementwise import (
    Rescale,
    Rounding,
    _differentiate,
    secant,
    smallest_exponent_step,
)

pytestmark = pytest.mark.usefixtures("with_and_without_kernels")


def slow_secant(function, x1, x0):
    found = torch.empty_like(x0)
    for at in itertools.product(*map(range, x0.shape)):
        a, b = x1[at], x0[at]
        if abs(a - b) < smallest_exponent_step(x0.dtype):
            leaf = a.clone().requires_grad_()
            (found[at],) = torch.autograd.grad(function(leaf), leaf)
        else:
            found[at] = (function(a) - function(b)) / (a - b)
    return found


@pytest.mark.parametrize("function", [torch.relu, torch.tanh, torch.sigmoid, torch.exp, F.gelu, F.elu, torch.abs])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("known_slope", [True, False])
def test_rescale_is_the_secant(function, dtype, known_slope, multiplied):
    from seqlight.attribution.rules.table import ELEMENTWISE

    torch.manual_seed(0)
    x1, x0 = torch.randn(3, 5, dtype=dtype), torch.randn(3, 5, dtype=dtype)
    x0[0] = x1[0]
    x0[1, 0] = x1[1, 0] + smallest_exponent_step(dtype) / 3
    grad = torch.randn(3, 5, dtype=dtype)
    rule = Rescale(ELEMENTWISE[function.__name__].slope if known_slope else None)
    y, found = multiplied(rule, function, x1, x0, grad)
    torch.testing.assert_close(y, function(x0))
    torch.testing.assert_close(found, grad * slow_secant(function, x1, x0))


def test_rescale_of_several_references_of_several_sequences(multiplied):
    torch.manual_seed(0)
    x1, x0, grad = (torch.randn(n, 5, dtype=torch.float64) for n in (2, 6, 6))
    _, found = multiplied(Rescale(), torch.tanh, x1, x0, grad)
    for row in range(6):  # row r * 2 + i is reference r of sequence i
        torch.testing.assert_close(found[row], grad[row] * slow_secant(torch.tanh, x1[row % 2], x0[row]))


def test_the_tangent_is_that_at_the_input():
    x = torch.tensor([0.5], dtype=torch.float64)
    found = secant(x, x.exp(), x.exp(), x.clone(), x.exp())
    torch.testing.assert_close(found, x.exp())
    assert torch.equal(secant(x, x.exp(), x * 7, x.clone(), x.exp()), x * 7)
    nearly = x + 5e-11
    assert torch.equal(secant(x, x.exp(), x.exp(), nearly, nearly.exp()), x.exp())
    # Only where it explains the difference.
    assert secant(x, x.exp(), x * 7, nearly, nearly.exp()).item() == pytest.approx(float(x.exp()), rel=1e-4)
    assert secant(x, x.exp(), x, x + 2e-10, (x + 2e-10).exp()).item() == pytest.approx(float(x.exp()), rel=1e-5)


def test_equal_infinities_differ_by_nothing():
    one = torch.tensor([1.0, 2.0])
    masked = torch.tensor([-torch.inf, -torch.inf])
    assert secant(one, masked, torch.zeros(2), one + 1, masked, infinite=True).tolist() == [0, 0]
    assert secant(masked, one * 0, one * 0, masked, one * 0).tolist() == [0, 0]


@pytest.mark.parametrize("function", [torch.frac, torch.tanh, torch.exp])
def test_slopes_are_laid_out_as_the_loops_take_them(function):
    x = torch.linspace(-1.7, 1.9, 12).view(3, 4).requires_grad_()
    y, slope = _differentiate(Call.from_arguments("one", function, (x,), {}), x)
    assert y.is_contiguous()
    assert slope.is_contiguous()
    (expected,) = torch.autograd.grad(function(x), x, torch.ones(3, 4))
    assert torch.equal(slope, expected)


class Mixed(nn.Module):
    """Rounding differs with the batch behind each convolution; three letters of weight keep the steps large."""

    def __init__(self, function):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = nn.Conv1d(4, 16, 9, padding=4), nn.Conv1d(16, 16, 9, padding=4)
        self.last, self.function = nn.Linear(16 * 60, 1), function
        with torch.no_grad():
            self.first.weight.mul_(3)
            self.second.weight.mul_(3)

    def forward(self, X):
        return self.last(self.function(self.second(self.function(self.first(X)))).flatten(1))


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("rounding", Rounding)
def test_secants_of_many_numbers_are_found_piece_by_piece(rows, rounding, monkeypatch):
    torch.manual_seed(0)
    x1, x0 = torch.randn(rows, 3, 7), torch.randn(6 * rows, 3, 7)
    x0[rows:] += x1.repeat(5, 1, 1)
    x0[: 2 * rows] = x1.repeat(2, 1, 1)
    x0[0, 0], x1[0, 0, :2], x0[1, 1] = x1[0, 0] * (1 + 1e-7), torch.inf, torch.nan
    known = x1, F.gelu(x1), torch.sigmoid(x1), x0, F.gelu(x0)
    whole = secant(*known, rounding=rounding)
    monkeypatch.setattr(memory_layout, "LONG", 1)
    for piece in (1, 50, 10**6):
        monkeypatch.setattr(elementwise, "PIECE", piece)
        torch.testing.assert_close(secant(*known, rounding=rounding), whole, rtol=0, atol=0, equal_nan=True)


@pytest.mark.reliability(
    "attribution",
    "references that are mutants of their sequence, smooth activations behind convolutions, any batch size",
    "multipliers of float32 are those of float64, whatever the batch",
)
@pytest.mark.parametrize("settings", [{"hypothetical": True}, {"raw_outputs": True}])
@pytest.mark.parametrize(
    "function",
    [
        *(
            F.gelu,
            torch.tanh,
            F.silu,
            torch.sigmoid,
            F.softplus,
            F.mish,
            lambda x: x.softmax(1),
            lambda x: (3 * x).sin(),
        ),
        *(F.tanhshrink, lambda x: x.log_softmax(1), lambda x: F.gelu(F.layer_norm(x.mT, (16,)).mT)),
    ],
    ids="gelu tanh silu sigmoid softplus mish softmax sin tanhshrink log_softmax layer_norm".split(),
)
def test_a_secant_over_rounding_is_no_secant(function, settings):
    X = sl.random_one_hot((3, 4, 60), random_state=0).float()
    references = X.unsqueeze(1).repeat(1, 4, 1, 1)
    for i, k in itertools.product(range(3), range(4)):
        at = 13 * k + i
        references[i, k, :, at] = X[i, :, at].roll(1)
    model = Mixed(function)

    def found(**more):
        out = sl.deep_lift_shap(model, X, references=references, device="cpu", **settings, **more)
        return out if isinstance(out, torch.Tensor) else out[0]

    wanted = found(dtype="float64", batch_size=1)
    for batch_size in (1, 2, 12):
        assert float((found(batch_size=batch_size) - wanted).abs().max()) <= 2e-4 * float(wanted.abs().max())


@pytest.mark.parametrize("rounding", Rounding)
def test_the_tangent_stands_in_where_it_explains_the_difference(rounding):
    x1 = torch.tensor([3.0, 3.0, 0.25])
    x0 = torch.tensor([3.0 + 2e-6, 4.0, 0.25 - 2e-6])
    y1, y0, tangents = x1.tanh(), x0.tanh(), torch.full((3,), 0.125)
    found = secant(x1, y1, tangents, x0, y0, rounding=rounding)
    assert found[1] == (y1[1] - y0[1]) / -1
    # A tangent that is wrong by more than rounding allows says nothing.
    assert found[2] == (y1[2] - y0[2]) / (x1[2] - x0[2])
    assert found[0] == (0.125 if rounding is not Rounding.NONE else (y1[0] - y0[0]) / (x1[0] - x0[0]))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("function", [torch.square, torch.exp, F.leaky_relu, F.gelu, F.hardtanh, torch.log1p])
def test_sums_are_complete_over_steps_of_any_size(function, scale):
    generator = torch.Generator().manual_seed(0)
    x1 = torch.rand(4000, generator=generator) * min(scale, 10.0) + 1e-6 * scale
    x0 = x1 * (1 - torch.logspace(-8, 0, 4000))
    leaf = x1.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(leaf).sum(), leaf)
    y1, y0 = function(x1), function(x0)
    miss = (secant(x1, y1, slope, x0, y0) * (x1 - x0) - (y1 - y0)).abs()
    # No more than a few units in the last place are missed.
    assert bool((miss <= 6 * torch.finfo(torch.float32).eps * (y1.abs() + (slope * x1).abs() + y0.abs())).all())


@pytest.mark.reliability(
    "attribution", "activations of 1e-8 that a root makes large again", "complete sums: no step counts as none"
)
@pytest.mark.parametrize("power", [2, 3])
@pytest.mark.parametrize("between", [torch.relu, F.softplus, lambda x: F.max_pool1d(x, 2), lambda x: x.clamp_min(1e-7)])
def test_no_step_is_too_small(between, power):
    torch.manual_seed(0)
    stem, X = nn.Conv1d(4, 8, 5, padding=2), sl.random_one_hot((2, 4, 20), random_state=0).float()

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = stem

        def forward(self, X):
            y = between(self.stem(X).abs() ** power * 1e-7)
            return (y.sum(1) + 1e-12).pow(1 / power).sum(1, keepdim=True)

    sl.deep_lift_shap(Small(), X, n_shuffles=3, device="cpu", random_state=0)


def root_mean_square(x):
    return (x * x).mean(1, keepdim=True).sqrt()


ROOTS = {
    "lp_pool1d": lambda x: F.lp_pool1d(x, 2, 4),
    "lp_pool1d of 3": lambda x: F.lp_pool1d(x, 3.0, 4),
    "lp_pool1d of 1": lambda x: F.lp_pool1d(x, 1, 4),
    "lp_pool2d": lambda x: F.lp_pool2d(x.unsqueeze(2), 2, (1, 4)),
    "LPPool1d": nn.LPPool1d(2, 3),
    "sqrt": torch.sqrt,
    "pow": lambda x: x.pow(0.3),
    "float_power": lambda x: torch.float_power(x, 0.5).to(x.dtype),
    "norm": lambda x: torch.linalg.vector_norm(x, dim=1),
    "norm of 0.5": lambda x: torch.linalg.vector_norm(x, 0.5, dim=1),
    "root of mean squares": root_mean_square,
    "asin at 1": lambda x: torch.asin((9 * x).clamp(max=1)),
}


@pytest.mark.reliability(
    "attribution", "LPPool, roots and norms behind ReLU, whose slope at 0 has no end", "finite attributions that add up"
)
@pytest.mark.parametrize("dtype", [None, "float64"])
@pytest.mark.parametrize("root", ROOTS)
def test_a_root_of_0(root, dtype):
    class Rooted(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.root = nn.Conv1d(4, 8, 5, padding=2), ROOTS[root]

        def forward(self, X):
            return self.root(torch.relu(self.stem(X) - 0.1)).flatten(1).sum(1, keepdim=True)

    X = sl.random_one_hot((3, 4, 40), random_state=0).float()
    found = sl.deep_lift_shap(Rooted(), X, n_shuffles=3, device="cpu", random_state=0, dtype=dtype, hypothetical=True)
    assert found.isfinite().all()


def test_an_input_that_is_overwritten_does_not_stay_in_memory():
    """A copy of it does, in its place."""
    rule = Rescale(special_functions.relu_slope, fused_vjp="elementwise.relu_vjp", rounding=Rounding.NONE)
    kept = rule.observe(Call.from_arguments("relu", torch.relu, (torch.randn(2, 3).requires_grad_(),), {}), True)[1]
    leaf = torch.randn(4, 3).requires_grad_()
    x0 = leaf * 1
    last = weakref.ref(x0)
    y0 = rule.explain(Call.from_arguments("relu", torch.relu, (x0,), {}), kept, True)
    with torch.no_grad():
        x0.zero_()
    del x0
    assert last() is None
    x1 = kept[0].tensor.repeat(2, 1)
    y0.sum().backward()
    torch.testing.assert_close(leaf.grad, (x1.relu() - leaf.relu()) / (x1 - leaf))


@pytest.mark.parametrize("in_place", [False, True], ids=["", "in place"])
def test_long_tensors_are_met_one_reference_after_the_other(in_place, monkeypatch):
    X = sl.random_one_hot((2, 4, 30), random_state=0).float()
    model = nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(inplace=in_place), nn.Flatten(), nn.Linear(156, 1))
    settings = {"n_shuffles": 5, "random_state": 0, "device": "cpu"}
    with plain_rules():
        expected, met, vjp = sl.deep_lift_shap(model, X, **settings), [], Rescale.vjp
        monkeypatch.setattr(Rescale, "vjp", lambda *given: met.append(1) or vjp(*given))
        monkeypatch.setattr(memory_layout, "LONG", 1)
        found = sl.deep_lift_shap(model, X, **settings)
    assert bool(met) is not in_place  # then the input is no longer there
    assert torch.equal(found, expected)
