"""A text is taken wherever a target is, and stands for what the class in it does."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import InputError
from seqlight.lit import AttributionPrior
from seqlight.lit.penalties import Sparsity
from seqlight.targets import Counts

X = sl.random_one_hot((2, 4, 12), random_state=0).double()


class Heads(nn.Module):
    """A profile, and counts."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.profile, self.counts = nn.Conv1d(4, 2, 5).double(), nn.Linear(48, 2).double()

    def forward(self, X):
        return self.profile(X).relu(), self.counts(X.flatten(1)).relu()


def by_prior(model, X, target, random_state):
    torch.manual_seed(random_state)
    return AttributionPrior(Sparsity(), target=target)(model, X)


def by_audit(model, X, target, random_state):
    return sl.audit(model, X, target=target, random_state=random_state).deltas


def by_attribute(model, X, target, random_state):
    return sl.attribute(model, X, target=target, random_state=random_state).attributions


def by_gradient(model, X, target, random_state):
    return sl.input_x_gradient(model, X, target=target).attributions


def by_mutagenesis(model, X, target, random_state):
    return sl.saturation_mutagenesis(model, X, target=target)


def by_integration(model, X, target, random_state):
    return sl.integrated_gradients(
        model, X, target=target, n_shuffles=2, n_steps=3, random_state=random_state
    ).attributions


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "method",
    [sl.deep_lift_shap, by_attribute, sl.differentiable_attributions, by_audit, by_gradient, by_mutagenesis,
     by_integration, by_prior],
)  # fmt: skip
@pytest.mark.reliability(
    "Targets by name",
    "a target as text in a function, an audit or an attribution prior",
    "it is read as on the command line; a text that stands for none is refused with the nearest name",
)
def test_text(method):
    found, expected = (method(Heads(), X, target=one, random_state=0) for one in ("counts(head=1)", Counts(head=1)))
    torch.testing.assert_close(found, expected)
    with pytest.raises(InputError, match=r"target is 'cuonts': did you mean 'counts'"):
        method(Heads(), X, target="cuonts", random_state=0)


def test_a_list_in_a_text():
    found = sl.differentiable_attributions(Heads(), X, target="[counts(head=1), counts(head=0)]", random_state=0)
    assert found.shape == (2, 2, 4, 12)


def test_an_integral_takes_a_list_in_a_text():
    found = sl.integrated_gradients(Heads(), X, target="[counts(head=1), counts(head=0)]", n_shuffles=1, n_steps=3)
    assert found.attributions.shape == (2, 2, 4, 12)
