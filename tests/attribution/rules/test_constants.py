"""What is held constant is what it was for the sequence: references get no other, and no gradient goes through it."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError
from seqlight.targets.constant_parts import hold

X = sl.random_one_hot((3, 4, 12), random_state=0)


class HeldProduct:
    """The product of two columns, of which the first is held."""

    holds = True

    def __call__(self, y):
        return hold(y[:, 0]) * y[:, 1]


def test_outside_an_explanation_it_is_detach():
    x = torch.rand(3, requires_grad=True)
    assert torch.equal(hold(x), x)
    assert not hold(x).requires_grad


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_a_factor_that_is_held_is_that_of_the_sequence(batch_size):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(30, 2)).double()
    found = sl.attribute(model, X, target=HeldProduct(), n_shuffles=3, random_state=0, batch_size=batch_size)
    other = sl.attribute(model, X, target=1, n_shuffles=3, random_state=0)
    factor = model(X.double())[:, 0].detach()
    assert torch.allclose(found.attributions, factor.view(-1, 1, 1) * other.attributions, rtol=0, atol=1e-14)
    assert torch.allclose(found.reference_outputs, factor.view(-1, 1) * other.reference_outputs, rtol=0, atol=1e-14)
    assert found.deltas.abs().max() < 1e-14


def test_a_target_says_that_it_holds():
    targets = Targets([0, sl.Contrast(1, HeldProduct())], 3)
    assert targets.holds
    assert not Targets([0, lambda y: y[:, 0]], 3).holds
    with pytest.raises(InputError, match="a method evaluates other sequences"):
        targets.without_constants("a method")
