"""Captum's wrappers of attributions, such as NoiseTunnel, around ours."""

import captum.attr
import captum.metrics
import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import InputError


class Towers(nn.Module):
    """Two inputs and an argument that is not explained, in modules that Captum's DeepLIFT knows."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = nn.Linear(3, 5), nn.Conv1d(2, 5, 3)
        self.relu, self.tanh, self.head = nn.ReLU(), nn.Tanh(), nn.Linear(5, 3)

    def forward(self, a, b, scale=1.0):
        return self.head(self.relu(self.left(a)) + self.tanh(self.right(b)).sum(2)) * scale


@pytest.fixture
def towers():
    return Towers().double().eval()


@pytest.fixture
def inputs():
    torch.manual_seed(2)
    return torch.randn(3, 3).double(), torch.randn(3, 2, 4).double()


@pytest.mark.parametrize(("kind", "name"), [("DeepLift", "Deep Lift"), ("DeepLiftShap", "Deep Lift Shap")])
def test_the_classes_are_attributions_of_captum(towers, kind, name):
    explainer = getattr(sl, kind)(towers, multiply_by_inputs=False)
    assert isinstance(explainer, captum.attr.Attribution)
    assert isinstance(explainer, captum.attr.GradientAttribution)
    assert explainer.get_name() == name
    assert explainer.forward_func is explainer.model is towers
    assert explainer.has_convergence_delta()
    assert not explainer.multiplies_by_inputs


def both(kind, model, method, inputs, **settings):
    """Return what a wrapper makes of ours and of Captum's, from the same noise."""
    found = []
    for library in (sl, captum.attr):
        torch.manual_seed(4)
        np.random.seed(4)
        found.append(method(getattr(library, kind)(model)).attribute(inputs, **settings))
    return found


def assert_same(ours, theirs):
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-9, atol=1e-12)


SETTINGS = {
    "deltas": {"target": 1, "return_convergence_delta": True},
    "a target for each row": {"target": [0, 2, 1], "nt_samples": 3, "nt_samples_batch_size": 2, "stdevs": (0.1, 0.4)},
    "an argument": {"target": torch.tensor([1, 0, 2]), "additional_forward_args": torch.rand(3, 3).double()},
}


@pytest.mark.filterwarnings("ignore:.*forward, backward hooks:UserWarning")
@pytest.mark.parametrize("nt_type", ["smoothgrad", "smoothgrad_sq", "vargrad"])
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", ["DeepLift", "DeepLiftShap"])
@pytest.mark.reliability("Captum", "NoiseTunnel around DeepLift and DeepLiftShap", "what it gives around Captum's own")
def test_noise_tunnel(towers, inputs, kind, name, nt_type):
    baselines = (inputs[0].flip(0), 0.5) if kind == "DeepLift" else tuple(one / 2 for one in inputs)
    settings = {"baselines": baselines, "nt_type": nt_type, "nt_samples": 4, "stdevs": 0.3, **SETTINGS[name]}
    assert_same(*both(kind, towers, captum.attr.NoiseTunnel, inputs, **settings))


@pytest.mark.filterwarnings("ignore:.*forward, backward hooks:UserWarning")
def test_noise_tunnel_that_draws_its_baselines(towers, inputs):
    settings = {"baselines": tuple(one.repeat(2, *[1] * (one.ndim - 1)) for one in inputs), "target": 0}
    settings["draw_baseline_from_distrib"] = True
    assert_same(*both("DeepLift", towers, captum.attr.NoiseTunnel, inputs, **settings))


def test_noise_around_one_hot_sequences():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    X = sl.random_one_hot((3, 4, 20), random_state=0)
    found = captum.attr.NoiseTunnel(sl.DeepLift(model)).attribute(X, nt_samples=2, stdevs=1e-6, target=1)
    torch.testing.assert_close(found, sl.DeepLift(model).attribute(X, target=1), rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*forward, backward hooks:UserWarning")
@pytest.mark.filterwarnings("ignore:Input Tensor:UserWarning")
@pytest.mark.reliability("Captum", "the metrics of Captum, of our attributions", "what they give of Captum's own")
def test_metrics(towers, inputs):
    found = []
    for library in (sl, captum.attr):
        attribute = library.DeepLift(towers).attribute
        torch.manual_seed(5)
        worst = captum.metrics.sensitivity_max(attribute, inputs, target=1, n_perturb_samples=3)
        attributions = tuple(one.detach() for one in attribute(inputs, target=1))
        unfaithful = captum.metrics.infidelity(towers, _perturbed, inputs, attributions, target=1)
        found.append((worst, unfaithful))
    assert_same(*found)


def _perturbed(inputs, *_):
    return tuple(0.1 * torch.ones_like(one) for one in inputs), tuple(one - 0.1 for one in inputs)


def test_the_delta_is_that_of_evaluation_mode(inputs):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 2)).double().train()
    explainer = sl.DeepLift(model)
    found, wanted = explainer.attribute(inputs[0], 0.5, target=[0, 1, 1], return_convergence_delta=True)
    assert torch.equal(explainer.compute_convergence_delta(found, 0.5, inputs[0], target=[0, 1, 1]), wanted)
    assert explainer.compute_convergence_delta(found, 0, inputs[0], target=[0, 1, 1]).abs().max() > 1e-3
    assert model.training


@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_delta_in_batches(towers, inputs, batch_size):
    explainer, scale = sl.DeepLift(towers, batch_size=batch_size), torch.rand(3, 3).double()
    found = explainer.attribute(inputs, target=2, additional_forward_args=scale)
    delta = explainer.compute_convergence_delta(found, None, inputs, 2, scale)
    assert delta.shape == (3,)
    assert delta.abs().max() < 1e-12


def test_another_model(towers, inputs):
    explainer = sl.DeepLift(Towers().double())
    explainer.model = towers
    assert explainer.forward_func is towers
    assert_same(explainer.attribute(inputs, target=0), sl.DeepLift(towers).attribute(inputs, target=0))


def test_a_forward_function_that_a_wrapper_put_there(towers, inputs):
    explainer = sl.DeepLift(towers)
    explainer.forward_func = lambda *given: towers(*given)
    with pytest.raises(InputError, match=r"model is a function: expected a torch\.nn\.Module"):
        explainer.attribute(inputs, target=0)


class Number(nn.Module):
    """Of one number a row."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(2 * x - 1)


@pytest.mark.filterwarnings("ignore:.*forward, backward hooks:UserWarning")
@pytest.mark.parametrize("kind", ["DeepLift", "DeepLiftShap"])
def test_noise_around_one_number_a_row(kind):
    X = torch.tensor([1.0, 2.0, 0.25]).double()
    settings = {"nt_samples": 3, "stdevs": 0.5, "return_convergence_delta": True, "baselines": X.flip(0) / 2}
    assert_same(*both(kind, Number(), captum.attr.NoiseTunnel, X, **settings))
