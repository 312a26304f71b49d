"""What is said about suspects, and that it helps to do what is said."""

import warnings
from collections import OrderedDict

import pytest
import torch
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import nn

import seqlight as sl
from seqlight.studies.implementations.captum_deeplift import CAPTUM_DEEPLIFT
from seqlight.studies.implementations.implementation import INPUTS
from seqlight.studies.implementations.shap import SHAP
from seqlight.studies.implementations.tangermeme import TANGERMEME
from spelled_models import Between, Called, Gate, OwnReLU, Residual, Twice

X = sl.random_one_hot((3, 4, 16), random_state=0).double()
REFERENCES = sl.dinucleotide_shuffle(X, n=2, random_state=0).double()
HALF = 6 * 7


def seeded(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().double().eval()


def miss(peer, make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = peer.contributions(seeded(make), X, REFERENCES, (), 0, 0)
    model = seeded(make)
    with torch.no_grad():
        expected = model(X)[:, :1] - torch.stack([model(one)[:, 0] for one in REFERENCES.unbind(1)], dim=1)
    return float((found.sum(dim=2) - expected).abs().mean() / expected.abs().mean())


def suspects(peer, make, with_inputs=True):
    table = sl.audit(seeded(make), X.float(), references=REFERENCES[:, :1].float(), device="cpu").table
    if with_inputs:
        table.attrs[INPUTS] = (X[:2],)
    return peer.suspects(seeded(make), table)


class OwnExp(nn.Module):
    """A function as a module of a class of its own."""

    def forward(self, X):
        return X.exp()


class Apart(nn.Module):
    """A connection around an activation that gets a tensor of its own."""

    def __init__(self):
        super().__init__()
        self.part = nn.ReLU()

    def forward(self, X):
        return X + self.part(X * 1.0)


class TwoOfThem(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.conv = nn.ReLU(), nn.ReLU(), nn.Conv1d(6, 6, 3, padding=1)

    def forward(self, X):
        return self.second(self.conv(self.first(X)))


def network(*between):
    return nn.Sequential(
        OrderedDict(
            trunk=nn.Sequential(nn.Conv1d(4, 6, 3), nn.ReLU(), *between, nn.MaxPool1d(2), nn.Flatten()),
            head=nn.Linear(HALF, 2),
        )
    )


@pytest.mark.parametrize("with_inputs", [True, False])
def test_pooling_behind_an_activation(with_inputs):
    assert miss(CAPTUM_DEEPLIFT, network) > 0.01
    (one,) = suspects(CAPTUM_DEEPLIFT, network, with_inputs)
    assert (one.operation, one.module) == ("MaxPool1d", "trunk.2")
    assert one.reason == (
        "it directly follows ReLU in `trunk.1`, and Captum passes on to that module the plain gradient of this one, "
        "not what its rule gives"
    )
    assert one.remedy == "Put `x * 1.0` between the two (nn.Identity and nn.Dropout do not help)."
    assert suspects(CAPTUM_DEEPLIFT, lambda: network(nn.Identity(), nn.Dropout()), with_inputs)[0].module == "trunk.4"

    def in_place():
        model = network()
        model.trunk[1].inplace = True
        return model

    assert suspects(CAPTUM_DEEPLIFT, in_place, with_inputs) == [one]

    def remedied():
        return network(Called(lambda x: x * 1.0))

    assert suspects(CAPTUM_DEEPLIFT, remedied, with_inputs) == []
    assert miss(CAPTUM_DEEPLIFT, remedied) < 1e-12


# A peer, a model on which it misses or raises, the model as the remedy of the first suspect has it, and a part of that.
SMALL_CHANGES = {
    "function": (CAPTUM_DEEPLIFT, lambda: Called(torch.relu), nn.ReLU, "Make it a module, torch.nn.ReLU, in __init__"),
    "derived": (CAPTUM_DEEPLIFT, OwnReLU, nn.ReLU, "Use torch.nn.ReLU itself"),
    "derived, tangermeme": (TANGERMEME, OwnReLU, nn.ReLU, "Use torch.nn.ReLU itself"),
    "twice": (CAPTUM_DEEPLIFT, lambda: Twice(nn.ReLU()), TwoOfThem, "Give each use a module of its own"),
    "shared": (CAPTUM_DEEPLIFT, lambda: Residual(nn.ReLU()), Apart, "Give it a tensor of its own: call it with `x * 1"),
    "in place": (TANGERMEME, lambda: nn.ReLU(inplace=True), nn.ReLU, "Set inplace=False"),
    "in place later": (
        TANGERMEME,
        lambda: nn.Sequential(nn.ReLU(), Called(lambda x: x.mul_(2))),
        lambda: nn.Sequential(nn.ReLU(), Called(lambda x: x * 2)),
        "Write the result to a new tensor",
    ),
}


@pytest.mark.parametrize("name", SMALL_CHANGES)
def test_small_changes_help(name):
    peer, faulty, remedied, remedy = SMALL_CHANGES[name]
    first = suspects(peer, lambda: Between(faulty()))[0]
    assert first.remedy.startswith(remedy)
    assert suspects(peer, lambda: Between(remedied())) == []
    assert miss(peer, lambda: Between(remedied())) < 1e-12


@pytest.mark.parametrize("function", [nn.GELU, nn.PReLU, nn.Hardswish, OwnExp])
def test_captum_with_a_further_rule(function, monkeypatch):
    (one,) = suspects(CAPTUM_DEEPLIFT, lambda: Between(function()))
    name = "ThatClass" if function is OwnExp else f"torch.nn.{function.__name__}"
    assert f"SUPPORTED_NON_LINEAR[{name}] = SUPPORTED_NON_LINEAR[torch.nn.ReLU]" in one.remedy
    monkeypatch.setitem(SUPPORTED_NON_LINEAR, function, SUPPORTED_NON_LINEAR[nn.ReLU])
    # Its own table is read, and no copy of it.
    assert suspects(CAPTUM_DEEPLIFT, lambda: Between(function())) == []
    assert miss(CAPTUM_DEEPLIFT, lambda: Between(function())) < 1e-12


def test_tangermeme_with_a_further_rule():
    from tangermeme.deep_lift_shap import _nonlinear, deep_lift_shap

    (one,) = suspects(TANGERMEME, lambda: Between(nn.Hardswish()))
    assert "additional_nonlinear_ops={torch.nn.Hardswish: tangermeme.deep_lift_shap._nonlinear}" in one.remedy
    rules = {nn.Hardswish: _nonlinear}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it would warn if contributions did not add up
        deep_lift_shap(
            seeded(lambda: Between(nn.Hardswish())),
            X,
            references=REFERENCES,
            additional_nonlinear_ops=rules,
            device="cpu",
        )


def test_tangermeme_with_products_as_modules():
    from tangermeme.deep_lift_shap import BilinearOp

    class Product(Gate):
        def __init__(self):
            super().__init__()
            self.product = BilinearOp("...,...->...")

        def forward(self, X):
            return self.product(self.tanh(self.a(X)), self.sigmoid(self.b(X)))

    assert "BilinearOp" in suspects(TANGERMEME, lambda: Between(Gate()))[0].remedy
    assert suspects(TANGERMEME, lambda: Between(Product())) == []
    assert miss(TANGERMEME, lambda: Between(Product())) < 1e-12


@pytest.mark.slow  # importing shap takes seconds
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of its plots, at import
def test_shap_with_a_further_rule(monkeypatch):
    from shap.explainers._deep.deep_pytorch import op_handler

    (one,) = suspects(SHAP, lambda: Between(nn.SiLU()))
    assert 'op_handler["SiLU"] = op_handler["ReLU"]' in one.remedy
    monkeypatch.setitem(op_handler, "SiLU", op_handler["ReLU"])
    assert suspects(SHAP, lambda: Between(nn.SiLU())) == []
    assert miss(SHAP, lambda: Between(nn.SiLU())) < 1e-12


def test_a_module_with_a_hook_of_its_own():
    def make():
        model = Between(nn.ReLU())
        model.parts[0].register_full_backward_hook(lambda module, given, gradients: None)
        return model

    for peer in (CAPTUM_DEEPLIFT, TANGERMEME):
        assert miss(peer, make) > 0.01
        (one,) = suspects(peer, make)
        assert (one.operation, one.module, one.remedy) == ("ReLU", "parts.0", "Remove that hook.")


def test_an_operation_of_the_model_itself():
    class Model(Between):
        def forward(self, X):
            return super().forward(X).tanh()

    (one,) = suspects(CAPTUM_DEEPLIFT, lambda: Model(nn.ReLU()))
    assert (one.operation, one.module) == ("tanh", "")


def test_what_no_gradient_sees():
    def make():
        return Between(nn.ReLU(), Called(lambda x: x * x.argmax(dim=2, keepdim=True)))

    (one,) = suspects(CAPTUM_DEEPLIFT, make)
    assert (one.operation, one.module, one.reason) == (
        "mul",
        "parts.1",
        "what depends on the sequence here is seen by no gradient",
    )


def test_an_output_without_a_gradient():
    (one,) = suspects(CAPTUM_DEEPLIFT, lambda: Between(Called(lambda x: x.argsort(2).to(x))))
    assert (one.operation, one.module) == ("the output", "")
    assert "amax" in one.remedy
