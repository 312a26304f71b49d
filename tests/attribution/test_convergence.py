"""Deltas that are too high cause one warning, which says whether rounding is to blame."""

import warnings

import pytest
import torch
from torch import nn

import seqlight as sl
from blocks import block, concatenate_sequences
from seqlight.attribution import convergence
from seqlight.attribution.convergence import ConvergenceCheck
from seqlight.errors import ConvergenceError, ConvergenceWarning, InputError
from user_operations import by_numpy

pytestmark = pytest.mark.accelerator

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
        return self.last(X.flatten(1)) + by_numpy(X[:, 0, :10]).sum(1, keepdim=True)


@pytest.mark.reliability(
    "attribution",
    "a large last layer whose products nearly cancel, in float32",
    "the warning says that it is rounding, what float64 misses, and to ask for float64",
)
@pytest.mark.parametrize("find", [sl.deep_lift_shap, sl.attribute])
def test_the_warning_names_rounding_error(find):
    with pytest.warns(
        sl.ConvergenceWarning, match=r"This is rounding error: .* delta is only \S+e-\d+\. Pass dtype='float64'"
    ):
        find(Cancelling(), X, **SETTINGS)
    find(Cancelling(), X, dtype="float64", **SETTINGS)


@pytest.mark.parametrize("find", [sl.deep_lift_shap, sl.attribute])
def test_the_warning_does_not_blame_rounding_if_float64_has_the_same_delta(find):
    model = Hidden()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    with pytest.warns(
        sl.ConvergenceWarning, match=r"This is not rounding error \(float64 has it too\): .*seqlight\.audit"
    ):
        find(model, X, **SETTINGS)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert model.last.weight.requires_grad
    with pytest.warns(sl.ConvergenceWarning, match=r"If dtype='float64' does not help"):
        find(model, X, dtype="float64", **SETTINGS)


def test_the_warning_comes_even_if_float64_fails(monkeypatch):
    def fail(*_):
        raise TypeError("no float64 here")

    monkeypatch.setattr(convergence, "make_explainer", fail)
    with pytest.warns(sl.ConvergenceWarning, match=r"If dtype='float64' does not help"):
        sl.deep_lift_shap(Hidden(), X, **SETTINGS)


@pytest.mark.parametrize(
    ("deltas", "differences", "threshold", "warned"),
    [
        ([0.0, 0.0], [1.0, 1.0], 1e-3, False),
        ([2e-3, 0.0], [1.0, 1.0], 1e-3, True),
        ([-2e-3, 0.0], [1.0, 1.0], 1e-3, True),
        ([5e-4, 5e-4], [1.0, 1.0], 1e-3, False),
        ([5e-6, 5e-6], [1e-5, 1e-5], 1e-3, True),  # small, but half of what is to be explained
        ([float("nan"), 0.0], [1.0, 1.0], 1e-3, True),
    ],
)
def test_deltas_that_are_too_high_cause_a_warning(deltas, differences, threshold, warned):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        check = ConvergenceCheck(threshold)
        check.add(block(deltas, differences))
        check.warn_if_incomplete()
    assert [one.category for one in found] == [ConvergenceWarning] * warned


def test_the_verdict_does_not_depend_on_the_batch_size():
    small, large = block([5e-6, 5e-6], [1e-5, 1e-5]), block([0.0, 0.0], [1.0, 1.0])
    apart, together = ConvergenceCheck(1e-3), ConvergenceCheck(1e-3)
    for one in (small, large):
        apart.add(one)
    together.add(concatenate_sequences([small, large]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apart.warn_if_incomplete()
        together.warn_if_incomplete()


def test_policies():
    high, low = block([2e-3, 0.0], [1.0, 1.0]), block([5e-6, 5e-6], [1e-5, 1e-5])
    with pytest.raises(ConvergenceError, match=r"too high.*in the worst of 1 of 1 sequences"):
        ConvergenceCheck(1e-3, "raise").add(high)
    check = ConvergenceCheck(1e-3, "raise")
    check.add(low)
    with pytest.raises(ConvergenceError, match="too high"):
        check.warn_if_incomplete()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ignored = ConvergenceCheck(1e-3, "ignore")
        ignored.add(high)
        ignored.warn_if_incomplete()
    with pytest.raises(InputError, match="'raise', 'warn' or 'ignore'"):
        ConvergenceCheck(1e-3, "never")
