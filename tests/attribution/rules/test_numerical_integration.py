"""Products and integrals against the mean Jacobian, taken literally at many points of the line."""

import pytest
import torch
from torch.nn import functional as F

import seqlight as sl
from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.retry import Overwritten
from seqlight.attribution.rules import numerical_integration, table
from seqlight.attribution.rules.numerical_integration import Integrated
from seqlight.attribution.rules.product import Product
from seqlight.errors import UnsupportedOperation


def explained(rule, function, x1, x0, grad):
    _, kept = rule.observe(Call.from_arguments("op", function, [x.clone().requires_grad_() for x in x1], {}), False)
    leaves = [x.clone().requires_grad_() for x in x0]
    y = rule.explain(Call.from_arguments("op", function, leaves, {}), kept, False)
    return y.detach(), torch.autograd.grad(y, leaves, grad)


def literally(function, x1, x0, grad, points=2000):
    """The mean over the midpoints of many small steps."""
    total = [torch.zeros_like(x) for x in x0]
    for step in range(points):
        share = (step + 0.5) / points
        at = [(b + share * (a - b)).requires_grad_() for a, b in zip(x1, x0, strict=True)]
        for one, found in zip(total, torch.autograd.grad(function(*at), at, grad), strict=True):
            one += found / points
    return total


def randoms(*shapes):
    torch.manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


PRODUCTS = {
    "mul": (torch.mul, [(2, 3), (2, 3)]),
    "mul, broadcast": (torch.mul, [(2, 3, 4), (2, 1, 4)]),
    "matmul": (torch.matmul, [(2, 3, 4), (2, 4, 5)]),
    "bmm": (torch.bmm, [(2, 3, 4), (2, 4, 5)]),
    "mm": (torch.mm, [(3, 4), (4, 5)]),
    "baddbmm": (torch.baddbmm, [(2, 3, 5), (2, 3, 4), (2, 4, 5)]),
    "einsum": (lambda a, b: torch.einsum("bij,bjk->bk", a, b), [(2, 3, 4), (2, 4, 5)]),
    "three": (lambda a, b, c: a * b * c, [(2, 3)] * 3),
    "four": (lambda a, b, c, d: a * b * c * d, [(2, 3)] * 4),
    "convolution": (F.conv1d, [(1, 2, 7), (3, 2, 3)]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name):
    function, shapes = PRODUCTS[name]
    x1, x0 = randoms(*shapes), [x + 1 for x in randoms(*shapes)][::1]
    x0 = [x.flip(0) * 0.7 for x in x0]
    y = function(*x0)
    grad = torch.randn_like(y)
    found_y, found = explained(table.PRODUCTS.get(name.split(",")[0], Product()), function, x1, x0, grad)
    torch.testing.assert_close(found_y, y)
    for one, slow in zip(found, literally(function, x1, x0, grad), strict=True):
        torch.testing.assert_close(one, slow, rtol=1e-6, atol=1e-6)
    sums = sum((one * (a - b)).sum() for one, a, b in zip(found, x1, x0, strict=True))
    torch.testing.assert_close(sums, ((function(*x1) - y) * grad).sum(), rtol=1e-12, atol=1e-12)


def test_a_tensor_times_itself_is_its_square():
    (x1, x0) = randoms((2, 3), (2, 3))
    _, kept = Product().observe(Call.from_arguments("mul", torch.mul, [x1.requires_grad_()] * 2, {}), False)
    leaf = x0.clone().requires_grad_()
    y = Product().explain(Call.from_arguments("mul", torch.mul, [leaf, leaf], {}), kept, False)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), leaf)[0], (x1 + x0).detach())


def test_any_smooth_operation_is_integrated():
    def function(a, b):
        return torch.sin(a * b) + torch.exp(a) / (1 + b * b)

    x1, x0 = randoms((2, 3), (2, 3)), [x.flip(0) for x in randoms((2, 3), (2, 3))]
    grad = torch.randn(2, 3, dtype=torch.float64)
    y, found = explained(Integrated(), function, x1, x0, grad)
    torch.testing.assert_close(y, function(*x0))
    for one, slow in zip(found, literally(function, x1, x0, grad), strict=True):
        torch.testing.assert_close(one, slow, rtol=1e-5, atol=1e-6)
    sums = sum((one * (a - b)).sum() for one, a, b in zip(found, x1, x0, strict=True))
    torch.testing.assert_close(sums, ((function(*x1) - y) * grad).sum(), rtol=1e-9, atol=1e-9)


class Gates(torch.autograd.Function):
    """Gates that open and close within a small part of the line, as those of a trained model do."""

    @staticmethod
    def forward(ctx, x, state, steepness):
        ctx.save_for_backward(x, state)
        ctx.steepness = steepness
        return torch.sigmoid(steepness * x) * state

    @staticmethod
    def backward(ctx, grad):
        x, state = ctx.saved_tensors
        gates = torch.sigmoid(ctx.steepness * x)
        return grad * state * ctx.steepness * gates * (1 - gates), grad * gates, None


class SteepGates(torch.nn.Module):
    def __init__(self, steepness):
        super().__init__()
        self.first, self.last, self.steepness = torch.nn.Conv1d(4, 4, 3), torch.nn.Linear(20, 1), steepness

    def forward(self, X):
        x, state = self.first(X).chunk(2, dim=1)
        return self.last(Gates.apply(x, state, self.steepness).flatten(1))


@pytest.mark.reliability(
    "models of others",
    "an operation without a rule, in float64, whose gates are too steep for 96 points",
    "explained with more of them",
)
@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
def test_what_is_smooth_but_steep_gets_more_points(monkeypatch):
    torch.manual_seed(0)
    model, X = SteepGates(60).double(), sl.random_one_hot((2, 4, 12), random_state=0)
    options = {"references": X.flip(2).unsqueeze(1), "dtype": "float64", "device": "cpu"}
    assert sl.attribute(model, X, **options).relative_deltas.max() < 1e-9
    monkeypatch.setattr(numerical_integration, "MORE_POINTS", ())
    with pytest.raises(UnsupportedOperation, match="with 96 points"):
        sl.attribute(model, X, **options)


def test_an_operation_that_jumps_is_refused():
    (x1, x0) = randoms((5,), (5,))
    with pytest.raises(UnsupportedOperation, match=r"op has no rule.*numerically with 96 points"):
        explained(Integrated(), lambda x: x + 2 * torch.floor(3 * x.detach()), [x1], [x0 - 1], torch.ones(5))


def test_an_elementwise_operation_with_kinks_has_secants():
    x1, x0 = randoms((40,), (40,))
    x0[:3] = x1[:3]
    grad = torch.linspace(-1, 1, 40, dtype=torch.float64)
    _, (found,) = explained(Integrated(), lambda x: F.relu(x) + F.hardtanh(2 * x), [x1], [x0], grad)
    y1, y0 = (F.relu(x) + F.hardtanh(2 * x) for x in (x1, x0))
    torch.testing.assert_close(found[3:], (grad * (y1 - y0) / (x1 - x0))[3:])
    assert torch.isfinite(found).all()


@pytest.mark.parametrize(
    "function", [lambda x: F.relu(x).cumsum(0), lambda x: F.relu(x).flip(0), lambda x: x + F.relu(x - 0.2).roll(1, 0)]
)
def test_an_operation_with_kinks_that_is_not_elementwise_is_integrated_piece_by_piece(function):
    x1, x0 = randoms((40,), (40,))
    grad = torch.linspace(-1, 1, 40, dtype=torch.float64)
    y, (found,) = explained(Integrated(), function, [x1], [x0], grad)
    torch.testing.assert_close((found * (x1 - x0)).sum(), ((function(x1) - y) * grad).sum(), rtol=1e-9, atol=1e-9)
    # Of a sum of secants the mean Jacobian is known.
    one = torch.zeros(40, dtype=torch.float64)
    _, (found,) = explained(
        Integrated(), lambda x: F.relu(x).cumsum(0), [x1], [x0], one.index_fill(0, torch.tensor([39]), 1)
    )
    torch.testing.assert_close(found, (F.relu(x1) - F.relu(x0)) / (x1 - x0), rtol=1e-7, atol=1e-9)


def test_an_operation_without_a_derivative_is_refused():
    x1, x0 = randoms((5,), (5,))
    with pytest.raises(UnsupportedOperation, match=r"op has no rule.*not implemented"):
        explained(Integrated(), lambda x: torch.heaviside(x, x.detach()), [x1], [x0], torch.ones(5))


def test_references_overwritten_between_forward_and_backward_are_noticed():
    x1, x0 = randoms((2, 3), (2, 3))
    _, kept = Integrated().observe(Call.from_arguments("sin", torch.sin, [x1.requires_grad_()], {}), False)
    live = x0.clone().requires_grad_().clone()
    y = Integrated().explain(Call.from_arguments("sin", torch.sin, [live], {}), kept, False)
    live.add_(1)
    with pytest.raises(Overwritten):
        y.sum().backward()


class Reversed(torch.autograd.Function):
    """Its backward is not its derivative."""

    @staticmethod
    def forward(ctx, x):
        return x.sin()

    @staticmethod
    def backward(ctx, grad):
        return -grad


class Scaled(torch.nn.Module):
    """Rows that count little, beside others that count much."""

    def forward(self, x, scale, wrong):
        h = x.flatten(1).cumsum(1)
        y = torch.where(wrong, Reversed.apply(h), h.tanh())
        return (y.sum(1) * scale).unsqueeze(1)


@pytest.mark.filterwarnings("ignore::seqlight.IntegratedWarning")
@pytest.mark.parametrize("batch_size", [1, 64])
def test_a_pair_that_counts_little_is_judged_like_any_other(batch_size):
    X = sl.random_one_hot((3, 4, 10), random_state=0)
    scale = torch.tensor([1.0, 1e-6, 1.0])
    wrong = torch.tensor([False, True, False]).view(3, 1)
    with pytest.raises(UnsupportedOperation, match="does not explain its output difference"):
        sl.deep_lift_shap(
            Scaled(), X, args=(scale, wrong), n_shuffles=4, random_state=0, device="cpu", batch_size=batch_size
        )


class Determinant(torch.nn.Module):
    def forward(self, X):
        return torch.linalg.det(X[:, :3, :3] + X[:, 1:, 3:6])[:, None]


@pytest.mark.reliability(
    "models of others", "an operation without a rule that gives one number a row, as a determinant", "explained"
)
@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
def test_one_number_a_row_is_integrated():
    X = sl.random_one_hot((3, 4, 6), random_state=4)
    found = sl.attribute(Determinant(), X.double(), references=X.flip(2).unsqueeze(1), dtype="float64", device="cpu")
    assert found.attributions.abs().max() > 0.1
    assert found.deltas.abs().max() < 1e-9
