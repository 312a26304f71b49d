"""Each rule against the definition, written slowly and literally."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.calls.recording import Call
from seqlight.attribution.rules import loops
from seqlight.attribution.rules.elementwise import Rescale, secant, threshold
from seqlight.attribution.rules.pooling import MaxPool


@pytest.fixture(autouse=True, params=["compiled", "plain"])
def _loops(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(loops, "library", lambda: None)


def multiplied(rule, function, x1, x0, grad, *args, **kwargs):
    """Return output and gradient at the reference as the rule has them."""
    _, kept = rule.observe(Call.of("op", function, (x1.clone().requires_grad_(), *args), kwargs), False)
    leaf = x0.clone().requires_grad_()
    y = rule.explain(Call.of("op", function, (leaf, *args), kwargs), kept, False)
    y = y[0] if isinstance(y, tuple) else y
    (found,) = torch.autograd.grad(y, leaf, grad)
    return y.detach(), found


def slow_secant(function, x1, x0):
    found = torch.empty_like(x0)
    for at in itertools.product(*map(range, x0.shape)):
        a, b = x1[at], x0[at]
        if abs(a - b) < threshold(x0.dtype):
            leaf = a.clone().requires_grad_()
            (found[at],) = torch.autograd.grad(function(leaf), leaf)
        else:
            found[at] = (function(a) - function(b)) / (a - b)
    return found


@pytest.mark.parametrize("function", [torch.relu, torch.tanh, torch.sigmoid, torch.exp, F.gelu, F.elu, torch.abs])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("known_slope", [True, False])
def test_rescale_is_the_secant(function, dtype, known_slope):
    from seqlight.attribution.rules.vocabulary import SLOPES

    torch.manual_seed(0)
    x1, x0 = torch.randn(3, 5, dtype=dtype), torch.randn(3, 5, dtype=dtype)
    x0[0] = x1[0]
    x0[1, 0] = x1[1, 0] + threshold(dtype) / 3
    grad = torch.randn(3, 5, dtype=dtype)
    rule = Rescale(SLOPES.get(function.__name__) if known_slope else None)
    y, found = multiplied(rule, function, x1, x0, grad)
    torch.testing.assert_close(y, function(x0))
    torch.testing.assert_close(found, grad * slow_secant(function, x1, x0))


def test_rescale_of_several_references_of_several_sequences():
    torch.manual_seed(0)
    x1, x0, grad = (torch.randn(n, 5, dtype=torch.float64) for n in (2, 6, 6))
    _, found = multiplied(Rescale(), torch.tanh, x1, x0, grad)
    for row in range(6):  # row r * 2 + i is reference r of sequence i
        torch.testing.assert_close(found[row], grad[row] * slow_secant(torch.tanh, x1[row % 2], x0[row]))


def test_the_tangent_is_that_at_the_input():
    x = torch.tensor([0.5], dtype=torch.float64)
    found = secant(x, x.exp(), x.exp(), x.clone(), x.exp())
    torch.testing.assert_close(found, x.exp())
    nearly = secant(x, x.exp(), torch.tensor([7.0], dtype=torch.float64), x + 5e-11, x.exp())
    assert nearly.item() == 7.0
    assert secant(x, x.exp(), x, x + 2e-10, (x + 2e-10).exp()).item() == pytest.approx(float(x.exp()), rel=1e-5)


def test_equal_infinities_differ_by_nothing():
    one = torch.tensor([1.0, 2.0])
    masked = torch.tensor([-torch.inf, -torch.inf])
    assert secant(one, masked, torch.zeros(2), one + 1, masked, infinite=True).tolist() == [0, 0]
    assert secant(masked, one * 0, one * 0, masked, one * 0).tolist() == [0, 0]


def slow_max_pool(x1, x0, grad, kernel, stride, padding, dilation, ceil_mode):
    """The cross-maximum of one row of one channel: what a window's maximum differs by goes to one position."""
    n = len(x1)
    outputs = len(F.max_pool1d(x0[None], kernel, stride, padding, dilation, ceil_mode)[0])
    m, ys = torch.zeros(n, dtype=x0.dtype), []
    for window in range(outputs):
        places = [window * stride - padding + k * dilation for k in range(kernel)]
        places = [place for place in places if 0 <= place < n]
        w1, w0 = max(places, key=lambda p: (x1[p], -p)), max(places, key=lambda p: (x0[p], -p))
        ys.append(x0[w0])
        winner = w1 if x1[w1] >= x0[w0] else w0
        dx = x1[winner] - x0[winner]
        share = (x1[w1] - x0[w0]) / dx if abs(dx) >= threshold(x0.dtype) else 1
        m[winner] += grad[window] * share
    return torch.stack(ys), m


@pytest.mark.parametrize(
    "settings",
    [(2, 2, 0, 1, False), (3, 1, 1, 1, False), (4, 2, 2, 1, True), (3, 2, 1, 2, False), (2, 3, 0, 3, True)],
)
@pytest.mark.parametrize("kind", ["random", "after relu", "equal in part"])
def test_max_pool_is_the_cross_maximum(settings, kind):
    torch.manual_seed(0)
    for _ in range(5):
        x1, x0 = torch.randn(2, 17, dtype=torch.float64), torch.randn(2, 17, dtype=torch.float64)
        if kind == "after relu":
            x1, x0 = (x1 - 0.5).relu(), (x0 - 0.5).relu()
        elif kind == "equal in part":
            x0[:, 5:] = x1[:, 5:]
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        keywords = dict(zip(names, settings, strict=True))
        grad = torch.randn_like(F.max_pool1d(x0, **keywords))
        y, found = multiplied(MaxPool(1), F.max_pool1d_with_indices, x1, x0, grad, **keywords)
        for row in range(2):
            slow_y, slow = slow_max_pool(x1[row], x0[row], grad[row], *settings)
            torch.testing.assert_close(y[row], slow_y)
            torch.testing.assert_close(found[row], slow)


@pytest.mark.parametrize("n", [2, 3])
def test_max_pool_in_more_dimensions_is_that_of_its_windows(n):
    torch.manual_seed(0)
    shape = (2, 3, 6, 5, 4)[: n + 2]
    x1, x0 = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    pool = getattr(F, f"max_pool{n}d_with_indices")
    y = pool(x0, 2, 1)[0]
    grad = torch.randn_like(y)
    _, found = multiplied(MaxPool(n), pool, x1, x0, grad, kernel_size=2, stride=1)
    slow = torch.zeros_like(x0)
    for at in itertools.product(*map(range, y.shape)):
        window = (*at[:2], *(slice(i, i + 2) for i in at[2:]))
        a, b = x1[window].flatten(), x0[window].flatten()
        winner = int(a.argmax()) if a.max() >= b.max() else int(b.argmax())
        m = torch.zeros_like(a)
        m[winner] = grad[at] * (a.max() - b.max()) / (a[winner] - b[winner])
        slow[window] += m.view(x0[window].shape)
    torch.testing.assert_close(found, slow)
