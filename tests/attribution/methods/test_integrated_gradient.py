"""Integrated gradients equal those of Captum, called by hand."""

import json

import pytest
import torch
from captum.attr import IntegratedGradients
from torch import nn

import seqlight as sl
from seqlight import attribute, random_one_hot
from seqlight.attribution.methods.integrated_gradient import METHODS, integrated_gradients

pytestmark = pytest.mark.accelerator

LENGTH = 16


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv1d(4, 6, 5, padding=2), nn.Softplus(), nn.MaxPool1d(2), nn.Flatten())
        self.head = nn.Linear(6 * LENGTH // 2, 3)

    def forward(self, X):
        return torch.tanh(self.head(self.body(X)))


@pytest.fixture
def X():
    X = random_one_hot((3, 4, LENGTH), random_state=0)
    X[1, :, 3] = 0
    return X


@pytest.fixture
def model():
    return Net().double().eval()


def explain(model, X, **settings):
    return integrated_gradients(model, X, **{"device": "cpu", "random_state": 0, "n_shuffles": 5, **settings})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_equal_to_captum(model, X, method, batch_size):
    found = explain(model, X, target=2, method=method, n_steps=7, batch_size=batch_size, multipliers=True)
    x, r = X.double().unsqueeze(1).expand(-1, 5, -1, -1).flatten(0, 1), found.references.double().flatten(0, 1)
    captum = IntegratedGradients(model, multiply_by_inputs=False)
    m, delta = captum.attribute(x, r, target=2, n_steps=7, method=method, return_convergence_delta=True)
    torch.testing.assert_close(found.multipliers, m.detach().view(3, 5, 4, LENGTH), rtol=1e-12, atol=1e-14)
    whole = IntegratedGradients(model).attribute(x, r, target=2, n_steps=7, method=method).detach()
    torch.testing.assert_close((found.multipliers * (x - r).view(3, 5, 4, LENGTH)).flatten(0, 1), whole)
    with torch.no_grad():
        y, f = model(X.double())[:, 2], model(r)[:, 2].view(3, 5)
    torch.testing.assert_close(found.outputs, y)
    torch.testing.assert_close(found.reference_outputs, f)
    torch.testing.assert_close(found.deltas, whole.sum((1, 2)).view(3, 5) - (y.unsqueeze(1) - f), rtol=0, atol=1e-13)
    assert delta.shape == (15,)


def test_the_fields_of_the_explanation(model, X):
    found = explain(model, X, multipliers=True)
    m, r = found.multipliers, found.references.double()
    each = m - (m * r).sum(2, keepdim=True)
    torch.testing.assert_close(found.hypothetical, each.mean(1))
    torch.testing.assert_close(found.attributions, each.mean(1) * X)
    torch.testing.assert_close(found.standard_error, each.std(1) / 5**0.5)
    assert (found.method, found.random_state, found.n_references.tolist()) == ("integrated_gradients", 0, [5, 5, 5])
    assert explain(model, X, keep_references=False).references is None


@pytest.mark.parametrize("references", [sl.dinucleotide_shuffle, sl.shuffle, "uniform"])
def test_references_are_those_of_deep_lift_shap(model, X, references):
    if references == "uniform":
        references = torch.full((3, 2, 4, LENGTH), 0.25)
    found = explain(model, X, references=references)
    engine = attribute(model, X, references=references, n_shuffles=5, random_state=0, device="cpu")
    assert torch.equal(found.references, engine.references)
    assert found.random_state == engine.random_state
    torch.testing.assert_close(found.reference_outputs, engine.reference_outputs)
    torch.testing.assert_close(found.differences, engine.differences)


def test_more_steps_come_closer(model, X):
    missed = [float(explain(model, X, n_steps=n).relative_deltas.mean()) for n in (2, 10, 200)]
    assert missed[0] > 3 * missed[1] > 9 * missed[2]
    model.body[2] = nn.AvgPool1d(2)  # without the kinks of a maximum
    assert explain(model, X, n_steps=20).relative_deltas.max() < 1e-5


def test_one_nonlinearity_equals_deeplift(X):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4 * LENGTH, 1), nn.Sigmoid()).double()
    found, engine = explain(model, X), attribute(model, X, n_shuffles=5, random_state=0, device="cpu")
    torch.testing.assert_close(found.attributions, engine.attributions, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "simpson"}, "method is 'simpson': expected one of gausslegendre, riemann_left"),
        ({"n_steps": 0}, "n_steps is 0"),
        ({"n_steps": 1, "method": "riemann_left"}, "n_steps is 1: expected 2 or more"),
        ({"n_shuffles": 0}, "n_shuffles is 0"),
        ({"references": torch.zeros(3, 4, LENGTH)}, "references has shape"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_unusable_arguments_raise(model, X, change, message):
    with pytest.raises(sl.InputError, match=message):
        explain(model, X, **change)


def test_an_output_that_autograd_does_not_follow_is_refused(model, X):
    class Detached(Net):
        def forward(self, X):
            return super().forward(X.detach())

    with pytest.raises(sl.UnsupportedOperation, match="does not depend on the sequence"):
        explain(Detached(), X)
    with pytest.raises(sl.UnsupportedOperation, match="does not depend on the sequence"):
        explain(model, X, target=[0, lambda y: torch.ones(len(y), dtype=y.dtype, device=y.device)])


def test_captum_is_only_loaded_by_the_call(python):
    code = """
import sys, json, torch, seqlight as sl
from seqlight.attribution.methods import gradients
from seqlight.attribution.methods import integrated_gradient
from seqlight.attribution.methods import mutagenesis
before = "captum" in sys.modules
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 1))
X = sl.random_one_hot((1, 4, 10), random_state=0)
mutagenesis.saturation_mutagenesis(model, X)
gradients.input_x_gradient(model, X)
between = "captum" in sys.modules
integrated_gradient.integrated_gradients(model, X, n_shuffles=1, n_steps=2)
print(json.dumps([before, between, "captum" in sys.modules]))
"""
    done = python("-c", code)
    assert json.loads(done.stdout) == [False, False, True]
