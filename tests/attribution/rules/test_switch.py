"""A choice by a number: the sum and the product that it is, by hand, and infinity where it is not chosen."""

import pytest
import torch

from seqlight.attribution.calls.record import Record
from seqlight.attribution.engine.modes import ReferenceMode, SequenceMode
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.rules.indicators import choice
from seqlight.attribution.rules.table import rules

S1, S0 = torch.tensor([1.0, 0, 1, 0]).double(), torch.tensor([1.0, 0, 0, 1]).double()


def multipliers(function, sequence, reference):
    """Return the result and the gradients at the operands of a reference."""
    record, policy, model = Record(), CallPolicy(dict(rules())), torch.nn.Identity()
    with SequenceMode(model, policy, record):
        y1 = function(*(one.clone().requires_grad_() * 1 for one in sequence))
    leaves = [one.clone().requires_grad_() for one in reference]
    with ReferenceMode(model, policy, record):
        y0 = function(*(one * 1 for one in leaves))
    return y1.detach(), y0.detach(), torch.autograd.grad(y0.sum(), leaves)


def test_by_hand():
    torch.manual_seed(0)
    a1, b1, a0, b0 = torch.randn(4, 4, dtype=torch.float64)
    y1, y0, found = multipliers(choice, (S1, a1, b1), (S0, a0, b0))
    assert torch.equal(y1, torch.where(S1 > 0, a1, b1))
    share, step = (S1 + S0) / 2, (a1 - b1 + a0 - b0) / 2 * (S1 != S0)
    for one, expected in zip(found, (step, share, 1 - share), strict=True):
        torch.testing.assert_close(one, expected)
    total = sum((m * (x - r)) for m, x, r in zip(found, (S1, a1, b1), (S0, a0, b0), strict=True))
    torch.testing.assert_close(total, y1 - y0)


@pytest.mark.parametrize(("a", "b"), [(2.0, -1.0), (torch.tensor(2.0), torch.tensor(-1.0))])
def test_of_constants(a, b):
    y1, y0, (found,) = multipliers(lambda s: choice(s, a, b), (S1,), (S0,))
    torch.testing.assert_close(found * (S1 - S0), y1 - y0)


def test_infinity_that_is_never_chosen():
    a1, a0 = torch.tensor([1.0, torch.inf, 2, 3]).double(), torch.tensor([2.0, -torch.inf, 5, 6]).double()
    y1, y0, found = multipliers(choice, (S1, a1, 0 * S1), (S0, a0, 0 * S0))
    assert all(one.isfinite().all() for one in found)
    total = found[0] * (S1 - S0) + torch.where(S1 + S0 > 0, found[1] * (a1 - a0), 0)
    torch.testing.assert_close(total, y1 - y0)


def test_operands_broadcast():
    share = torch.tensor([[1.0], [0.0]]).double()
    y1, y0, found = multipliers(lambda s, a: choice(s, a, 1.0), (share, S1), (1 - share, S0))
    assert [one.shape for one in found] == [(2, 1), (4,)]
    total = (found[0] * (2 * share - 1)).sum() + (found[1] * (S1 - S0)).sum()
    torch.testing.assert_close(total, (y1 - y0).sum())
