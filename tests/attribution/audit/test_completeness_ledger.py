"""The loss of a call: gradients at its operands times their differences, minus that of its result."""

import pytest
import torch
from torch import nn

from seqlight.attribution.audit.completeness_ledger import ReferenceAuditMode, SequenceAuditMode
from seqlight.attribution.calls.record import Record
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.rules.table import rules


def ledger(function, x, r):
    """Return losses by operation, the delta, and the second pass."""

    class Model(nn.Module):
        def forward(self, x):
            return function(x)

    model, policy, record = Model(), CallPolicy(rules(), copy=True), Record()
    with SequenceAuditMode(model, policy, record) as first:
        y1 = model(x.clone().requires_grad_() * 1)
    leaf = r.clone().requires_grad_()
    with ReferenceAuditMode(model, policy, record, first) as second:
        y0 = model(leaf * 1)
    (gradient,) = torch.autograd.grad(y0.sum(), leaf)
    delta = float((gradient * (x - r)).sum() - (y1 - y0).detach().sum())
    return {one.operation: one.loss for one in second.calls}, delta, second


A, B = torch.tensor([1.0, -2.0, 3.5]).double(), torch.tensor([-1.0, 1.0, 2.0]).double()


def test_a_detached_factor_by_hand():
    losses, delta, second = ledger(lambda x: torch.relu(x) * x.detach(), A, B)
    # The gradient at relu is the detached factor of the reference: relu' is times that, the rest is lost.
    gained, factor = torch.relu(A) - torch.relu(B), B
    lost = float((factor * gained).sum() - (torch.relu(A) * A - torch.relu(B) * B).sum())
    assert losses["relu"] == pytest.approx(0, abs=1e-12)
    assert losses["mul"] == pytest.approx(lost)
    assert delta == pytest.approx(lost)
    assert not second.divergence
    assert [one.hidden[0].operation for one in second.calls if one.hidden] == ["detach"]


def in_place(x):
    x = x + 0
    x.mul_(2).sub_(x.detach() / 2)
    return x


def to_a_part(x):
    x = x + 0
    x[:2] = x[1:].detach().clone()
    return x


def in_the_dark(x):
    x = x + 0
    with torch.no_grad():
        x[:2].clamp_(min=0)
    return torch.sigmoid(x)


def behind_the_back(x):
    x = x + 0
    x.detach().exp_()
    return torch.sigmoid(x)


@pytest.mark.parametrize(
    ("function", "operation"),
    [(in_place, "sub"), (to_a_part, "setitem"), (in_the_dark, "clamp"), (behind_the_back, "exp")],
)
def test_in_place_writes(function, operation):
    losses, delta, _ = ledger(function, A, B)
    assert abs(delta) > 0.1
    assert losses[operation] == pytest.approx(delta)
    assert sum(losses.values()) == pytest.approx(delta)


def test_one_operand_twice_and_a_result_that_is_its_operand():
    losses, delta, _ = ledger(lambda x: (x.contiguous() + x).mul(x) @ x, A, B)
    assert delta == pytest.approx(0, abs=1e-12)
    assert all(abs(loss) < 1e-12 for loss in losses.values())


def test_equal_infinities_do_not_differ():
    mask = torch.tensor([True, False, False])
    losses, delta, _ = ledger(lambda x: x.masked_fill(mask, -torch.inf).clone().exp() * 2, A, B)
    assert delta == pytest.approx(0, abs=1e-12)
    assert all(abs(loss) < 1e-12 for loss in losses.values())


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x * 2 if x[0] > 0 else x + 2, "calls add where the sequence calls mul"),
        (lambda x: x * 2 if x[0] > 0 else x * 2 + 2, "calls add where the sequence ends"),
        (lambda x: x * 2 + 2 if x[0] > 0 else x * 2, "ends where the sequence calls add"),
    ],
)
def test_where_control_flow_diverges(function, words):
    _, _, second = ledger(function, A, B)
    assert second.divergence == words
    assert second.differing_number().operation == "bool"
