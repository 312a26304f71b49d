"""What the modes say, they say of the line of the model that it is about."""

import warnings

import pytest
import torch
from torch import nn

import seqlight as sl


class Integrated(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(80, 1)

    def forward(self, X):
        h = X.flatten(1)
        return self.last(torch.special.xlog1py(h, h.exp()))


class InPyTorch(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps, self.last = nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 1)

    def forward(self, X):
        return self.last(self.steps(X.mT)[0][:, -1])


@pytest.mark.parametrize("model", [Integrated(), InPyTorch()], ids=lambda model: type(model).__name__)
def test_a_warning_points_to_the_model(model):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sl.deep_lift_shap(
            model, sl.random_one_hot((1, 4, 20), random_state=0), n_shuffles=2, random_state=0, device="cpu"
        )
    (found,) = [one for one in caught if issubclass(one.category, sl.IntegratedWarning)]
    assert found.filename == __file__
