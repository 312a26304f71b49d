"""Equal to Captum wherever Captum's own delta is at rounding; and a list of where that is."""

import warnings

import pytest
import torch
from captum.attr import DeepLift
from torch import nn

from seqlight import deep_lift_shap, random_one_hot

X = random_one_hot((3, 4, 24), random_state=2)


class Functional(nn.Module):
    def forward(self, x):
        return torch.relu(x)


class Gate(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


MIDDLES = {
    "relu": lambda: [nn.ReLU()],
    "two layers": lambda: [nn.ReLU(), nn.Conv1d(6, 6, 3, padding=1), nn.ReLU()],
    "sigmoid": lambda: [nn.Sigmoid()],
    "tanh": lambda: [nn.Tanh()],
    "elu": lambda: [nn.ELU()],
    "leaky relu": lambda: [nn.LeakyReLU()],
    "softplus": lambda: [nn.Softplus()],
    "batch norm": lambda: [nn.BatchNorm1d(6), nn.ReLU()],
    "pool": lambda: [nn.MaxPool1d(3), nn.Conv1d(6, 6, 3, padding=1), nn.ReLU()],
    "average pool": lambda: [nn.ReLU(), nn.AvgPool1d(3)],
    "in place": lambda: [nn.ReLU(inplace=True)],
    "relu, pool": lambda: [nn.ReLU(), nn.MaxPool1d(3)],
    "overlapping pool": lambda: [nn.Conv1d(6, 6, 3), nn.ReLU(), nn.MaxPool1d(4, 2)],
    "gelu": lambda: [nn.GELU()],
    "function": lambda: [Functional()],
    "gate": lambda: [Gate()],
    "layer norm": lambda: [nn.LayerNorm(24)],
    "softmax": lambda: [nn.Softmax(dim=1)],
}
INCOMPLETE = {"relu, pool", "overlapping pool", "gelu", "function", "gate", "layer norm", "softmax"}


def both(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 6, 5, padding=2), *MIDDLES[name](), nn.Flatten())
    with torch.no_grad():
        features = model(torch.zeros(2, 4, 24)).shape[1]
    model = model.append(nn.Linear(features, 2)).double().eval()
    references = torch.rand(3, 1, 4, 24, dtype=torch.float64)
    references /= references.sum(2, keepdim=True)
    ours = deep_lift_shap(model, X, references=references, raw_outputs=True, device="cpu")[:, 0]
    x, r = X.double(), references[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        captum, delta = DeepLift(model).attribute(x, r, target=0, return_convergence_delta=True)
    with torch.no_grad():
        difference = (model(x) - model(r))[:, 0].abs().mean()
    return ours * (x - r), captum, float(delta.abs().max() / difference)


@pytest.mark.parametrize("name", sorted(set(MIDDLES) - INCOMPLETE))
def test_equal_where_captum_adds_up(name):
    ours, captum, delta = both(name)
    assert delta < 1e-10
    torch.testing.assert_close(ours, captum, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(INCOMPLETE))
def test_where_captum_does_not_add_up(name):
    ours, captum, delta = both(name)
    assert delta > 1e-3
    assert not torch.allclose(ours, captum, rtol=1e-3)
