"""Wrappers of a model: the modules of the user's model have the names that they have in it."""

import torch
from torch import nn

import seqlight as sl
from seqlight.prediction.model_wrapper import ModelWrapper, unwrap_model


class Doubled(ModelWrapper):
    """Twice what a model returns, as a residual sum."""

    def forward(self, x):
        y = self.model(x)
        return y + y


def test_the_model_of_the_user_is_found():
    model = nn.ReLU()
    assert unwrap_model(model) is model
    assert unwrap_model(Doubled(Doubled(model))) is model


def test_layers_have_the_names_of_the_users_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(96, 1)).double()
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    settings = {"n_shuffles": 2, "random_state": 0, "device": "cpu"}
    plain, wrapped = (sl.attribute(one, X, layers=["1"], **settings) for one in (model, Doubled(model)))
    torch.testing.assert_close(wrapped.layers["1"], 2 * plain.layers["1"], rtol=0, atol=1e-13)
    reverse = sl.Ensemble(model, strands="reverse").members()[0]
    assert sl.attribute(reverse, X, layers=True, **settings).layer_names == ("0", "1", "2", "3")
