"""A warning about sums that are not met says whether rounding is to blame."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.attribution import convergence

X = sl.random_one_hot((2, 4, 20), random_state=0).float()
SETTINGS = {"n_shuffles": 3, "device": "cpu", "random_state": 0}


class Cancelling(nn.Module):
    """A last layer of large weights that nearly cancel: those of one half are those of the other with a minus."""

    def __init__(self, width=256, size=3e4):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.last = nn.Linear(80, width), nn.Linear(2 * width, 1)
        with torch.no_grad():
            half = torch.randn(1, width) * size
            self.last.weight.copy_(torch.cat([half, -half], 1))

    def forward(self, X):
        y = self.stem(X.flatten(1))
        return self.last(torch.cat([y.tanh() + 30, (y + 0.001).tanh() + 30], 1))


class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(80, 1)

    def forward(self, X):
        return self.last(X.flatten(1)) + X[:, 0, :10].detach().sum(1, keepdim=True)


@pytest.mark.reliability(
    "attribution",
    "a large last layer whose products nearly cancel, in float32",
    "the warning says that it is rounding, what float64 misses, and to ask for float64",
)
@pytest.mark.parametrize("find", [sl.deep_lift_shap, sl.attribute])
def test_rounding_is_called_so(find):
    with pytest.warns(sl.ConvergenceWarning, match=r"It is rounding: .* misses by \S+e-\d+\. Pass dtype='float64'"):
        find(Cancelling(), X, **SETTINGS)
    find(Cancelling(), X, dtype="float64", **SETTINGS)


@pytest.mark.parametrize("find", [sl.deep_lift_shap, sl.attribute])
def test_what_is_no_rounding_is_not_called_so(find):
    model = Hidden()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    with pytest.warns(sl.ConvergenceWarning, match=r"It is no rounding, for float64 has it too: .*seqlight\.audit"):
        find(model, X, **SETTINGS)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert model.last.weight.requires_grad
    with pytest.warns(sl.ConvergenceWarning, match=r"If dtype='float64' does not mend it"):
        find(model, X, dtype="float64", **SETTINGS)


def test_where_there_is_no_float64_the_warning_comes_nevertheless(monkeypatch):
    def fail(*_):
        raise TypeError("no float64 here")

    monkeypatch.setattr(convergence, "Explaining", fail)
    with pytest.warns(sl.ConvergenceWarning, match=r"If dtype='float64' does not mend it"):
        sl.deep_lift_shap(Hidden(), X, **SETTINGS)
