"""The parameter-randomisation check: what it finds, and that the model does not notice."""

import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from fixed_pattern import FixedPattern
from planted_network import train_planted
from seqlight.studies import parameter_randomization
from seqlight.studies.workers.model_state import ModelState
from toy_training import network, sequences

X = sequences(6)


def check(model, *args, **settings):
    return parameter_randomization(model, X, *args, **{"n_shuffles": 2, "device": "cpu", "n_draws": 2} | settings)


def test_attributions_of_a_trained_network_change():
    _, trained, positives = train_planted()
    found = parameter_randomization(trained, positives[:16], n_shuffles=3, device="cpu")
    assert not found.alike
    assert found.table["layer"].tolist() == ["4", "0"]
    assert found.table["layers"].tolist() == [1, 2]
    assert abs(found.table["rank_correlation"].iloc[-1]) < 0.3
    assert "depend on its parameters" in str(found)
    expected = sl.deep_lift_shap(trained, positives[:16], n_shuffles=3, device="cpu", random_state=0)
    assert torch.equal(found.attributions, expected)


@pytest.mark.reliability(
    "sanity of attributions",
    "attributions that are the same for a model whose layers are re-initialised",
    "a warning that names their rank correlation",
)
@pytest.mark.parametrize(
    ("model", "explain"),
    [
        (FixedPattern(), lambda model, X: sl.deep_lift_shap(model, X, n_shuffles=2, random_state=0, device="cpu")),
        (network(), lambda model, X: X * torch.arange(20.0)),
    ],
    ids=["a model that is fixed", "a method that does not look at the model"],
)
def test_attributions_that_do_not_depend_on_parameters_are_warned_about(model, explain):
    sentence = r"rank correlation of .*: expected less than 0\.8.*; look for"
    with pytest.warns(sl.RandomizationWarning, match=sentence) as met:
        found = parameter_randomization(model, X, explain)
    assert met[0].filename == __file__
    assert found.alike
    assert found.table["least"].iloc[-1] == pytest.approx(1)
    assert found.table["magnitude_rank_correlation"].iloc[-1] == pytest.approx(1)


def addresses(model):
    return {name: one.data_ptr() for name, one in model.state_dict(keep_vars=True).items()}


class Recurrent(nn.Module):
    """A recurrent layer, a shared one, old weight norm and a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.shared, self.offset = nn.Linear(4, 4), nn.Parameter(torch.zeros(1))
        self.lstm, self.head = nn.LSTM(4, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, X):
        found, _ = self.lstm(self.shared(self.shared(X.transpose(1, 2) + self.offset)))
        return self.head(found[:, -1])


def with_gradients(model):
    model.train()
    model(X.float()).sum().backward()
    return model


@pytest.mark.parametrize("make", [network, Recurrent])
@pytest.mark.parametrize("failing", [False, True])
def test_the_model_and_the_random_state_are_as_before(make, failing):
    model = with_gradients(make())
    calls = 0

    def explain(model, X):
        nonlocal calls
        calls += 1
        if failing and calls == 3:
            raise KeyboardInterrupt
        random.random(), np.random.random(), torch.rand(1)
        return sl.input_x_gradient(model, X, device="cpu")

    before, state = addresses(model), ModelState(model)
    if failing:
        with pytest.raises(KeyboardInterrupt):
            parameter_randomization(model, X, explain, n_draws=1)
    else:
        # What explaining itself draws is the caller's own.
        torch_state = torch.get_rng_state()
        parameter_randomization(model, X, lambda model, X: sl.input_x_gradient(model, X, device="cpu"), n_draws=2)
        assert torch.equal(torch.get_rng_state(), torch_state)
    changes = state.changes(model)
    assert changes == (["random state"] if failing else [])
    assert addresses(model) == before


def test_a_model_made_in_inference_mode():
    with torch.inference_mode():
        model = nn.Sequential(nn.Flatten(), nn.Linear(80, 4), nn.ReLU(), nn.Linear(4, 1))
    state = ModelState(model)
    found = check(model)
    assert found.table["layer"].tolist() == ["3", "1"]
    assert not found.alike
    assert state.changes(model) == []


def test_it_is_the_same_each_time():
    model = network()
    first = check(model)
    torch.manual_seed(17)
    again = check(model)
    assert first.table.equals(again.table)
    assert not first.table.equals(check(model, random_state=9).table)


def test_few_steps_take_several_layers_each():
    found = parameter_randomization(network(), X, sl.input_x_gradient, steps=2, n_draws=1, device="cpu")
    assert found.table[["layer", "layers"]].values.tolist() == [["3", 2], ["0", 4]]
    each = parameter_randomization(network(), X, sl.input_x_gradient, n_draws=1, device="cpu")
    assert each.table["layer"].tolist() == ["7", "3", "1", "0"]


def test_randomized_models_are_those_of_a_new_start():
    """After the last step nothing is left of the training, the statistics of a normalisation included."""
    model, seen = network(), []
    with_gradients(model)

    def explain(model, X):
        seen.append({name: one.clone() for name, one in model.state_dict().items()})
        return X.float() * torch.rand(20)

    parameter_randomization(model, X, explain, n_draws=1)
    for name, one in seen[-1].items():
        if name == "1.running_mean":
            assert not one.any()
        elif name in ("0.weight", "3.weight", "7.weight", "7.bias"):
            assert not torch.equal(one, model.state_dict()[name])
    # From the output on: the first step leaves all but the last layer.
    changed = {name for name, one in seen[1].items() if not torch.equal(one, model.state_dict()[name])}
    assert changed == {"7.weight", "7.bias"}


def test_further_inputs_are_passed_on():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.head = network(), nn.Linear(2, 1)

        def forward(self, X, other):
            return self.head(torch.cat([self.net(X), other], dim=1))

    found = check(Two().eval(), args=[torch.ones(6, 1)])
    assert found.table["layer"].tolist() == ["head", "net.7", "net.3", "net.1", "net.0"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"n_draws": 0}, "n_draws is 0"),
        ({"threshold": 2}, "threshold is 2: expected"),
        ({"random_state": -1}, "random_state is -1"),
        ({"explain": "deep_lift_shap"}, "explain is a str: expected a function"),
        ({"explain": lambda model, X: None}, "explain returns None: expected a tensor of attributions"),
        ({"model": nn.Flatten()}, "no parameters to re-initialise"),
    ],
)
def test_arguments_that_cannot_be_used(settings, message):
    model = settings.pop("model", None) or network()
    explain = settings.pop("explain", lambda model, X: X.float())
    with pytest.raises(sl.InputError, match=message):
        parameter_randomization(model, X, explain, **settings)


def test_warnings_of_randomized_models_are_not_repeated():
    def explain(model, X):
        warnings.warn("once", UserWarning, stacklevel=1)
        return X * torch.rand(20)

    with pytest.warns(UserWarning, match="once") as met:
        parameter_randomization(network(), X, explain)
    assert len(met) == 1
