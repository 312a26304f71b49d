"""softmax, log_softmax and logsumexp: exact, and stable whatever is added."""

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call
from seqlight.attribution.rules import softmax
from seqlight.attribution.rules.softmax import Softmax

KINDS = {"softmax": torch.softmax, "log_softmax": torch.log_softmax, "logsumexp": torch.logsumexp}


def explained(kind, x1, x0, dim, seed=0):
    rule, function = Softmax(kind), KINDS[kind]
    _, kept = rule.observe(Call.from_arguments(kind, function, (x1.clone().requires_grad_(), dim), {}), False)
    leaf = x0.clone().requires_grad_()
    y = rule.explain(Call.from_arguments(kind, function, (leaf, dim), {}), kept, False)
    torch.manual_seed(seed)
    grad = torch.randn_like(y)
    return y.detach(), grad, torch.autograd.grad(y, leaf, grad)[0]


def slow_weights(x1, x0):
    """A sum of exponentials by secants, and then the logarithm by its own; one row."""
    e1, e0 = [x.exp() for x in x1], [x.exp() for x in x0]
    s1, s0 = sum(e1), sum(e0)
    outer = (s1.log() - s0.log()) / (s1 - s0)
    return torch.stack([outer * (a - b) / (c - d) for a, b, c, d in zip(e1, e0, x1, x0, strict=True)])


@pytest.mark.parametrize("kind", KINDS)
def test_composed_of_secants(kind):
    torch.manual_seed(1)
    x1, x0 = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    _, grad, found = explained(kind, x1, x0, 1)
    for row in range(2):
        q = slow_weights(x1[row], x0[row])
        z1, z0 = x1[row].log_softmax(0), x0[row].log_softmax(0)
        if kind == "logsumexp":
            slow = grad[row] * q
        elif kind == "log_softmax":
            slow = grad[row] - q * grad[row].sum()
        else:
            through = grad[row] * (z1.exp() - z0.exp()) / (z1 - z0)
            slow = through - q * through.sum()
        torch.testing.assert_close(found[row], slow)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("apart", [0.0, 1e-12, 1.0, 50.0, 2000.0, -2000.0])
def test_exact_at_any_distance(kind, dim, apart):
    torch.manual_seed(1)
    x1, x0 = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 5, 3, dtype=torch.float64)
    x1 = x1 + apart
    y, grad, found = explained(kind, x1, x0, dim)
    wanted = ((KINDS[kind](x1, dim) - y) * grad).sum()
    assert torch.isfinite(found).all()
    torch.testing.assert_close((found * (x1 - x0)).sum(), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_of_both_changes_nothing(kind):
    torch.manual_seed(1)
    x1, x0 = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    plain, shifted = explained(kind, x1, x0, 1)[2], explained(kind, x1 + 1024, x0 + 1024, 1)[2]
    torch.testing.assert_close(plain, shifted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_does_not_overflow(kind):
    torch.manual_seed(1)
    x1, x0 = 100 * torch.randn(2, 5), 100 * torch.randn(2, 5) + 500
    y, grad, found = explained(kind, x1, x0, 1)
    wanted = ((KINDS[kind](x1, 1) - y) * grad).sum()
    torch.testing.assert_close((found * (x1 - x0)).sum(), wanted, rtol=1e-4, atol=1e-4)


def test_where_nothing_differs_it_is_the_plain_gradient():
    torch.manual_seed(1)
    x = torch.randn(2, 5, dtype=torch.float64)
    for kind, function in KINDS.items():
        _, grad, found = explained(kind, x, x, 1)
        leaf = x.clone().requires_grad_()
        torch.testing.assert_close(found, torch.autograd.grad(function(leaf, 1), leaf, grad)[0])


def test_positions_masked_in_both_get_nothing():
    torch.manual_seed(1)
    x1, x0 = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    x1[:, 3:] = x0[:, 3:] = -torch.inf
    _, _, found = explained("softmax", x1, x0, 1)
    assert not found[:, 3:].any()
    short = explained("softmax", x1[:, :3], x0[:, :3], 1)
    torch.testing.assert_close(KINDS["softmax"](x0, 1)[:, :3], short[0])


X = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CASES = [
    (softmax.softmax, F.softmax, (X, 1), {}),
    (softmax.softmax, F.softmax, (X, 1, 3, torch.float32), {}),
    (softmax.softmax, torch.softmax, (X, -1, torch.float32), {}),
    (softmax.softmax, F.softmax, (X,), {"dim": 0, "dtype": torch.float32}),
    (softmax.log_softmax, F.log_softmax, (X, 1), {}),
    (softmax.log_softmax, torch.log_softmax, (X, -1, torch.float32), {}),
    (softmax.logsumexp, torch.logsumexp, (X, 1), {}),
    (softmax.logsumexp, torch.logsumexp, (X, (0, 2), True), {}),
    (softmax.logsumexp, torch.logsumexp, (X, [1]), {"keepdim": True}),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{one[0].__name__}" for i, one in enumerate(CASES)])
def test_the_same_values(case):
    ours, theirs, args, kwargs = case
    torch.testing.assert_close(ours(*args, **kwargs), theirs(*args, **kwargs), rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("x", [X, X[0], X[0, 0]])
def test_the_dimension_that_softmax_chooses(x):
    torch.testing.assert_close(softmax.softmax(x), F.softmax(x))
