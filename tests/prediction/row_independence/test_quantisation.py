"""Modules that were quantised dynamically round by the range of a whole batch: predict warns, explanations refuse."""

import warnings

import pytest
import torch
from torch import nn

import seqlight as sl

X = sl.random_one_hot((8, 4, 12), random_state=0).float()
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize:UserWarning")


def quantised():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(30, 2))
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


@pytest.mark.reliability(
    "models",
    "a model that was quantised dynamically, which rounds by the range of a whole batch",
    "predict warns and mutagenesis refuses, unless batch_size is 1; both changed by some percent in silence",
)
def test_a_model_that_rounds_by_the_range_of_a_batch():
    model = quantised()
    with pytest.warns(sl.BatchWarning, match="module '3' is a Linear that was quantised dynamically") as caught:
        sl.predict(model, X, device="cpu")
    assert caught[0].filename == __file__
    with pytest.raises(sl.UnsupportedOperation, match="quantised dynamically, by the range of a whole batch: pass"):
        sl.saturation_mutagenesis(model, X[:1], device="cpu")


def test_one_row_at_a_time_is_exact():
    model = quantised()
    with warnings.catch_warnings():
        warnings.simplefilter("error", sl.BatchWarning)
        found = sl.predict(model, X, batch_size=1, device="cpu")
        sl.predict(nn.Flatten(), X, device="cpu")
    torch.testing.assert_close(found, torch.cat([model(one) for one in X.unsqueeze(1)]).detach(), rtol=0, atol=0)
    assert sl.saturation_mutagenesis(model, X[:1], batch_size=1, device="cpu").isfinite().all()
