"""The audit of one pair: the losses of its calls, the remainder, and the refused call."""

import pytest
import torch
from torch import nn

from seqlight import random_one_hot
from seqlight.attribution.audit.pair_auditor import PairAuditor
from seqlight.attribution.targets import Targets
from seqlight.prediction.batch_size import BatchSize
from user_operations import by_numpy

X = random_one_hot((2, 4, 12), random_state=0)


def examine(model):
    auditor = PairAuditor(model.double(), (X,), (), Targets(0, 2), BatchSize(1, torch.device("cpu")))
    auditor.policy.copy = True
    with auditor.borrow_model(None):
        return auditor.pair(0, X[1:])


class Model(nn.Module):
    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.function, self.last = function, nn.Linear(48, 1)

    def forward(self, x):
        return self.last(self.function(x.flatten(1) * torch.linspace(-1, 1, 48).to(x)))


def test_the_losses_of_calls_sum_to_the_delta():
    found = examine(Model(lambda h: torch.relu(h) + by_numpy(h)))
    assert found.refused is None
    assert abs(found.delta) > 0.01
    assert {one.operation for one in found.calls if abs(one.loss) > 1e-12} == {"add"}
    assert sum(one.loss for one in found.calls) == pytest.approx(found.delta, abs=1e-12)
    assert found.remainder.loss == pytest.approx(0, abs=1e-12)


def test_a_loss_of_no_call_is_the_remainder():
    def behind_the_back(h):
        h = h + 0
        h.detach().numpy()[:] **= 2
        return h

    found = examine(Model(behind_the_back))
    assert abs(found.delta) > 0.01
    assert (found.remainder.rules, "NumPy" in found.note) == (["unseen"], True)
    assert found.remainder.loss == pytest.approx(found.delta)


def test_the_refused_call_is_named():
    found = examine(Model(lambda h: nn.functional.dropout(h.tanh())))
    assert (found.refused.operation, found.refused.module) == ("dropout", "(Model)")
    assert [one.operation for one in found.calls][-1] == "tanh"
    assert found.delta != found.delta
