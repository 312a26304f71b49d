"""Selections against the definition, written slowly and literally."""

import itertools

import pytest
import torch

from seqlight.attribution.calls.call import Call
from seqlight.attribution.rules import sorting
from seqlight.attribution.rules.order_statistics import Mode, Selection, crossing_value, larger_maximum
from seqlight.errors import UnsupportedOperation


def multiplied(rule, function, x1, x0, grad):
    _, kept = rule.observe(Call.from_arguments("op", function, (x1.clone().requires_grad_(),), {}), False)
    leaf = x0.clone().requires_grad_()
    y, at = rule.explain(Call.from_arguments("op", function, (leaf,), {}), kept, False)
    assert torch.equal(at, function(x0)[1])
    return y.detach(), torch.autograd.grad(y, leaf, grad)[0]


def slow_sort(x1, x0, grad):
    """Credit each rank to a value that crosses it."""
    found = torch.zeros_like(x0)
    order = sorted(range(len(x0)), key=lambda i: (x0[i], i))
    for rank, (y1, y0) in enumerate(zip(sorted(x1.tolist()), sorted(x0.tolist()), strict=True)):
        if y1 >= y0:
            winner = max(reversed(order[: rank + 1]), key=lambda i: x1[i])
        else:
            winner = min(order[rank:], key=lambda i: x1[i])
        dx = float(x1[winner] - x0[winner])
        found[winner] += grad[rank] * ((y1 - y0) / dx if abs(dx) > 1e-10 else 1)
    return found


def slow_running_max(x1, x0, grad):
    """The cross-maximum of everything so far."""
    found = torch.zeros_like(x0)
    for end in range(1, len(x0) + 1):
        d = float(x1[:end].max() - x0[:end].max())
        of = x1 if d >= 0 else x0
        winner = max(reversed(range(end)), key=lambda i: of[i])
        dx = float(x1[winner] - x0[winner])
        found[winner] += grad[end - 1] * (d / dx if abs(dx) > 1e-10 else 1)
    return found


def slow_mode(x1, x0, grad):
    dx, dy = x1 - x0, x1.mode().values - x0.mode().values
    return grad * dy * dx / (dx * dx).sum()


RULES = {
    "sort": (Selection(crossing_value), sorting.sorted_over_last, slow_sort),
    "running maximum": (Selection(larger_maximum), sorting.running_max_over_last, slow_running_max),
    "mode": (Mode(), sorting.mode_over_last, slow_mode),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("ties", [False, True])
def test_the_definition(name, ties):
    rule, function, slow = RULES[name]
    torch.manual_seed(0)
    x1, x0 = torch.randn(2, 4, 7, dtype=torch.float64), torch.randn(6, 4, 7, dtype=torch.float64)
    x0[0, 0, 1:] = x1[0, 0, 1:]
    if ties:
        x1, x0 = (2 * x1).round(), (2 * x0).round()
    y = function(x0)[0]
    grad = torch.randn_like(y)
    found_y, found = multiplied(rule, function, x1, x0, grad)
    assert torch.equal(found_y, y)
    for r, i, c in itertools.product(range(3), range(2), range(4)):
        row = 2 * r + i
        slowly = slow(x1[i, c], x0[row, c], grad[row, c])
        torch.testing.assert_close(found[row, c], slowly, rtol=1e-12, atol=1e-12)
    sums = (found * (x1.repeat(3, 1, 1) - x0)).sum()
    torch.testing.assert_close(sums, ((function(x1)[0].repeat(3, 1, 1) - y) * grad).sum(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("function", [sorting.sorted_over_last, sorting.running_max_over_last])
def test_multipliers_of_each_result_are_between_0_and_1(function):
    rule = Selection(crossing_value if function is sorting.sorted_over_last else larger_maximum)
    torch.manual_seed(0)
    x1, x0 = torch.randn(1, 9), torch.randn(1, 9)
    for rank in range(9):
        _, found = multiplied(rule, function, x1, x0, torch.nn.functional.one_hot(torch.tensor([rank]), 9).float())
        assert (found > 0).sum() <= 1
        assert found.min() >= 0
        assert found.max() <= 1 + 1e-6


@pytest.mark.parametrize("name", RULES)
def test_equal_inputs_have_the_plain_gradient(name):
    rule, function, _ = RULES[name]
    x = torch.tensor([[3.0, 1.0, 2.0, 2.0]])
    leaf = x.clone().requires_grad_()
    y = function(leaf)[0]
    grad = torch.arange(1.0, y.shape[-1] + 1)[None]
    (plain,) = torch.autograd.grad(y, leaf, grad)
    assert torch.equal(multiplied(rule, function, x, x.clone(), grad)[1], plain)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("filled", [torch.nan, torch.inf, -torch.inf])
def test_masked_values_make_no_multiplier_that_is_no_number(name, filled):
    rule, function, _ = RULES[name]
    torch.manual_seed(0)
    x1, x0 = torch.randn(3, 8, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)
    x1[:, ::3] = filled
    x0[:, ::3] = filled
    y = function(x0)[0]
    grad = torch.where(y.isfinite(), torch.randn_like(y), 0)
    _, found = multiplied(rule, function, x1, x0, grad)
    assert torch.isfinite(found).all()
    known = [(a - b)[:, [1, 2, 4, 5, 7]] for a, b in [(x1, x0), (found, 0)]]
    d = ((function(x1)[0] - y) * grad).nan_to_num(0)
    torch.testing.assert_close((known[0] * known[1]).sum(), d.sum(), rtol=1e-12, atol=1e-12)


def test_sorting_the_batch_is_refused():
    x1, x0 = torch.randn(3, 2), torch.randn(3, 4)
    with pytest.raises(UnsupportedOperation, match="op over the batch mixes the sequences"):
        multiplied(Selection(crossing_value), sorting.sorted_over_last, x1, x0, torch.ones(3, 4))
