"""Results are computed in float64 where float32 has too few digits, and only there."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import ConvergenceError, UnsupportedOperation
from user_operations import by_numpy

pytestmark = pytest.mark.accelerator


class Large(nn.Module):
    """The difference of two outputs that are far larger."""

    def __init__(self, size=1e6):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.size = nn.Linear(5, 4), nn.Linear(4, 1), size
        self.dtypes = []

    def forward(self, x):
        self.dtypes.append(x.dtype)
        y = self.second(torch.tanh(self.first(x)))
        return (y + self.size) - self.size


class Unseen(Large):
    def forward(self, x):
        return super().forward(x) * by_numpy(x).sum(1, keepdim=True)


class Mixed(Large):
    def forward(self, x):
        return super().forward(x) @ torch.ones(1, 1)


X = torch.linspace(-1, 1, 15).reshape(3, 5)


@pytest.mark.parametrize("deltas", ["warn", "raise"])
@pytest.mark.reliability("Captum", "outputs that float32 cannot hold the difference of", "explained in float64")
def test_results_that_need_float64(deltas):
    model = Large()
    found, delta = sl.DeepLift(model, deltas=deltas).attribute(X, return_convergence_delta=True)
    assert found.dtype == delta.dtype == torch.float32
    assert delta.abs().max() < 1e-6
    torch.testing.assert_close(found, sl.DeepLift(Large(0)).attribute(X), rtol=1e-5, atol=1e-6)
    assert {torch.float32, torch.float64} == set(model.dtypes)
    assert all(one.dtype == torch.float32 for one in model.parameters())


def test_one_pass_is_made_if_float32_is_enough():
    for model, deltas in ((Large(0), "warn"), (Large(), "ignore")):
        sl.DeepLift(model, deltas=deltas).attribute(X)
        assert set(model.dtypes) == {torch.float32}


@pytest.mark.parametrize("model", [Mixed(), Unseen(), Unseen(0).double()], ids=["mixed", "unseen", "double"])
def test_deltas_that_float64_has_too_cause_a_warning(model):
    x = X.to(next(model.parameters()).dtype)
    with pytest.warns(sl.ConvergenceWarning):
        found, delta = sl.DeepLift(model).attribute(x, return_convergence_delta=True)
    assert found.dtype == delta.dtype == x.dtype
    assert delta.abs().max() > 1e-3
    with pytest.raises(ConvergenceError):
        sl.DeepLift(model, deltas="raise").attribute(x)


class Unexplained(Large):
    def forward(self, x):
        return super().forward(x - x.mean(0))


def test_a_refusal_is_raised_in_both_dtypes():
    with pytest.raises(UnsupportedOperation, match="mixes the rows of a batch"):
        sl.DeepLift(Unexplained(0)).attribute(X)


def test_results_of_a_custom_attribution_func_are_returned_in_float32():
    found = sl.DeepLift(Large()).attribute(X, custom_attribution_func=lambda m: (2 * m[0],))
    assert found.dtype == torch.float32
    wanted = sl.DeepLift(Large(0), multiply_by_inputs=False).attribute(X)
    torch.testing.assert_close(found, 2 * wanted, rtol=1e-5, atol=1e-6)
