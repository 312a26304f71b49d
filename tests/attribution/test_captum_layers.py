"""Layers and neurons with Captum's interface: equal to Captum where Captum adds up, and complete where it does not."""

import inspect
import warnings

import captum.attr
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import InputError

NAMES = ["LayerDeepLift", "LayerDeepLiftShap", "NeuronDeepLift", "NeuronDeepLiftShap"]


def plain(pool=False):
    """Return a model that Captum explains completely, or one with a max pooling, which it does not."""
    torch.manual_seed(0)
    between = [nn.MaxPool1d(2)] if pool else []
    body = [nn.Conv1d(4, 5, 5), nn.Softplus(), *between, nn.Conv1d(5, 3, 3), nn.Tanh(), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(3 * (6 if pool else 14), 2), nn.Sigmoid()).double()


@pytest.fixture
def X():
    return sl.random_one_hot((3, 4, 20), random_state=0).double()


@pytest.fixture
def references(X):
    return sl.shuffle(X[:1], n=4, random_state=1)[0].double()


def by_captum(name, model, layer, *args, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(captum.attr, name)(model, layer).attribute(*args, **settings)


@pytest.mark.parametrize("name", NAMES)
def test_called_like_captums(name):
    ours, theirs = (inspect.signature(getattr(where, name).attribute).parameters for where in (sl, captum.attr))
    assert [one for one in theirs if one != "grad_kwargs"] == list(ours)
    assert isinstance(
        getattr(sl, name)(*(model := plain(), model[1])[:2]), captum.attr.Attribution if False else object
    )


@pytest.mark.parametrize(("at", "at_input"), [*((at, False) for at in (0, 1, 2, 3, 5, 6)), (2, True), (5, True)])
def test_layers_equal_captum_where_it_adds_up(X, references, at, at_input):
    model, one = plain(), references[:1].expand_as(X)
    settings = {"target": 1, "attribute_to_layer_input": at_input, "return_convergence_delta": True}
    wanted, delta = by_captum("LayerDeepLift", model, model[at], X, one, **settings)
    assert delta.abs().max() < 1e-9
    found, ours = sl.LayerDeepLift(model, model[at]).attribute(X, one, **settings)
    wanted = wanted[0] if isinstance(wanted, tuple) else wanted
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)
    assert ours.shape == (3,)
    assert ours.abs().max() < 1e-12


@pytest.mark.parametrize("at", [1, 3, 6])
def test_complete_at_the_input_of_an_activation_where_captum_is_not(X, references, at):
    model, one = plain(), references[:1].expand_as(X)
    settings = {"target": 1, "attribute_to_layer_input": True, "return_convergence_delta": True}
    _, theirs = by_captum("LayerDeepLift", model, model[at], X, one, **settings)
    _, ours = sl.LayerDeepLift(model, model[at]).attribute(X, one, **settings)
    assert theirs.abs().max() > 1e-6
    assert ours.abs().max() < 1e-12


@pytest.mark.parametrize("at", [1, 3])
def test_layers_over_several_baselines_equal_captum(X, references, at):
    model = plain()
    wanted = by_captum("LayerDeepLiftShap", model, model[at], X, references, target=0)
    found, deltas = sl.LayerDeepLiftShap(model, model[at]).attribute(X, references, 0, return_convergence_delta=True)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)
    assert deltas.shape == (12,)
    assert deltas.abs().max() < 1e-12


def test_complete_after_a_pooling_where_captum_is_not(X, references):
    model, one = plain(pool=True), references[:1].expand_as(X)
    settings = {"target": 1, "return_convergence_delta": True}
    _, theirs = by_captum("LayerDeepLift", model, model[0], X, one, **settings)
    _, ours = sl.LayerDeepLift(model, model[0]).attribute(X, one, **settings)
    assert theirs.abs().max() > 1e-6
    assert ours.abs().max() < 1e-12


@pytest.mark.parametrize("selector", [(1, 3), (2, slice(4, 8)), lambda activations: activations[:, 0].sum(1)])
@pytest.mark.parametrize("at", [1, 3])
def test_neurons_equal_captum(X, references, at, selector):
    model, one = plain(), references[:1].expand_as(X)
    wanted = by_captum("NeuronDeepLift", model, model[at], X, selector, one)
    found = sl.NeuronDeepLift(model, model[at]).attribute(X, selector, one)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)
    wanted = by_captum("NeuronDeepLiftShap", model, model[at], X, selector, references)
    found = sl.NeuronDeepLiftShap(model, model[at]).attribute(X, selector, references)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def test_a_neuron_is_explained_completely_whatever_overwrites_it(X, references):
    model = nn.Sequential(
        nn.Conv1d(4, 5, 5), nn.ReLU(inplace=True), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(40, 1)
    ).double()
    found = sl.NeuronDeepLift(model, model[0]).attribute(X, (2, 3), references[:1])
    with torch.no_grad():
        wanted = model[0](X)[:, 2, 3] - model[0](references[:1])[:, 2, 3]
    torch.testing.assert_close(found.sum((1, 2)), wanted)


def test_multipliers_and_functions_of_the_users(X, references):
    model, one = plain(), references[:1].expand_as(X)
    contributions = sl.LayerDeepLift(model, model[1]).attribute(X, one, 0)
    multipliers = sl.LayerDeepLift(model, model[1], multiply_by_inputs=False).attribute(X, one, 0)
    with torch.no_grad():
        differences = model[:2](X) - model[:2](one)
    torch.testing.assert_close(multipliers * differences, contributions)

    def double(m, x, r):
        return tuple(2 * a * (b - c) for a, b, c in zip(m, x, r, strict=True))

    doubled = sl.LayerDeepLift(model, model[1]).attribute(X, one, 0, custom_attribution_func=double)
    torch.testing.assert_close(doubled, 2 * contributions)


def test_the_layers_own_order_of_dimensions_is_kept(X, references):
    class SequenceFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.head = nn.Linear(4, 3), nn.Linear(3, 1)

        def forward(self, x):
            return self.head(torch.tanh(self.up(x.permute(2, 0, 1)))).mean(0)

    model = SequenceFirst().double()
    assert sl.LayerDeepLift(model, model.up).attribute(X, references[:1]).shape == (20, 3, 3)


@pytest.mark.reliability(
    "models",
    "a model in training of which some modules are in evaluation mode, such as a frozen batch norm",
    "every module is given back in its own mode; NeuronDeepLift put all of them in that of the model",
)
@pytest.mark.parametrize("name", NAMES)
def test_modules_stay_in_their_own_modes(X, references, name):
    model = nn.Sequential(nn.Conv1d(4, 3, 5), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)).double()
    model.train()
    model[1].eval()
    modes = [one.training for one in model.modules()]
    chosen = {"neuron_selector": (1, 2)} if name.startswith("Neuron") else {"target": 0}
    baselines = references if name.endswith("Shap") else references[:1]
    getattr(sl, name)(model, model[1]).attribute(X, baselines=baselines, **chosen)
    assert [one.training for one in model.modules()] == modes


@pytest.mark.reliability("attribution", "layer= is not in the model, or is called twice", "refused, with what to do")
def test_layers_that_cannot_be(X):
    model = plain()
    for name in NAMES:
        with pytest.raises(InputError, match="not in the model"):
            getattr(sl, name)(model, nn.ReLU())
        with pytest.raises(InputError, match=r"layer is a str .* modules; use model\.get_submodule\('1'\)\."):
            getattr(sl, name)(model, "1")
    shared = nn.Linear(20, 20).double()
    twice = nn.Sequential(nn.Flatten(), nn.Linear(80, 20).double(), shared, nn.Tanh(), shared)
    with pytest.raises(InputError, match="is called 2 times"):
        sl.LayerDeepLift(twice, shared).attribute(X, target=0)
    with pytest.raises(InputError, match="2 indices or slices"):
        sl.NeuronDeepLift(model, model[0]).attribute(X, 3)
    with pytest.raises(InputError, match="index that is there"):
        sl.NeuronDeepLift(model, model[0]).attribute(X, (9, 0))
