"""Implementations that come with the package: shapes, completeness, and what is recorded of them."""

import ast
import builtins
import importlib
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.studies.implementations.captum_smoothgrad import quiet_smoothgrad
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.registry import GROUP, ORDER, choose_implementations, known_implementations

ROOT = Path(__file__).parent.parent.parent.parent
POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
QUICK = [name for name in POINTS if name != "shap"]
PAIRS = ("seqlight", "tangermeme", "captum-deeplift", "captum-integrated-gradients", "shap")


def load(name: str) -> Implementation:
    module, instance = POINTS[name].split(":")
    return getattr(importlib.import_module(module), instance)


class Single(nn.Module):
    """A model whose output has one dimension."""

    def __init__(self, columns: nn.Module) -> None:
        super().__init__()
        self.columns = columns

    def forward(self, X):
        return self.columns(X)[:, 0]


class Shifted(nn.Module):
    """A model with a further input."""

    def __init__(self, columns: nn.Module) -> None:
        super().__init__()
        self.columns = columns

    def forward(self, X, scale):
        return self.columns(X) * scale


def make_columns() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(30, 3))
    return model.double().eval()


X = sl.random_one_hot((3, 4, 12), random_state=0).double()
REFERENCES = sl.dinucleotide_shuffle(X, n=2, random_state=0).double()
SCALE = torch.tensor([[1.0], [-2.0], [3.0]], dtype=torch.float64)
CASES = {
    "columns": (lambda: make_columns(), (), 1),
    "single": (lambda: Single(make_columns()), (), 0),
    "a further input": (lambda: Shifted(make_columns()), (SCALE,), 2),
}


def contributions(name, make_model, args, target, X=X, references=REFERENCES):
    with warnings.catch_warnings():
        for routine in load(name).routine_warnings:
            kind, _, message = routine.partition(": ")
            warnings.filterwarnings("ignore", message, getattr(builtins, kind))
        return load(name).contributions(make_model(), X, references, args, target, 0)


def check_shapes_and_sums(name, case):
    make_model, args, target = CASES[case]
    found = contributions(name, make_model, args, target)
    assert found.dtype == torch.float64
    assert not found.requires_grad
    if name not in PAIRS:
        assert found.shape == (3, 12)
        return
    model = make_model()
    outputs = [model(one, *args) for one in (X, *REFERENCES.unbind(1))]
    y, *r = [one if one.ndim == 1 else one[:, target] for one in outputs]
    expected = y.unsqueeze(1) - torch.stack(r, dim=1)
    assert found.shape == (3, 2, 12)
    # Fifty steps are not exact.
    atol = 0.05 if name == "captum-integrated-gradients" else 1e-12
    torch.testing.assert_close(found.sum(dim=2), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", QUICK)
def test_shapes_and_sums(name, case):
    check_shapes_and_sums(name, case)


@pytest.mark.slow  # importing shap takes seconds
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of its plots, at import
@pytest.mark.parametrize("case", CASES)
def test_shap(case):
    check_shapes_and_sums("shap", case)


@pytest.mark.parametrize("name", ["captum-smoothgrad", "captum-expected-gradients"])
def test_random_ones_follow_the_seed_and_leave_the_generators_alone(name):
    make_model, args, target = CASES["columns"]
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = contributions(name, make_model, args, target)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(contributions(name, make_model, args, target), first)
    other = load(name).contributions
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not torch.equal(other(make_model(), X, REFERENCES, args, target, 1), first)


def test_many_pairs_are_explained_in_batches():
    many = REFERENCES.repeat(1, 20, 1, 1)
    one, whole = (contributions("captum-deeplift", make_columns, (), 0, X, some) for some in (REFERENCES, many))
    torch.testing.assert_close(whole, one.repeat(1, 20, 1))


def test_tangermeme_takes_unknown_characters_and_uniform_references_with_a_warning():
    unknown, uniform = X.clone(), torch.full_like(REFERENCES, 0.25)
    unknown[0, :, 3] = 0
    with pytest.warns(UserWarning, match="one-hot") as caught:
        found = load("tangermeme").contributions(make_columns(), unknown, uniform, (), 0, 0)
    assert len(caught) == 2
    ours = load("seqlight").contributions(make_columns(), unknown, uniform, (), 0, 0)
    torch.testing.assert_close(found, ours)


def test_entry_points_name_what_they_load():
    assert {load(name).name for name in POINTS} == set(POINTS)
    assert set(ORDER) <= set(POINTS)
    for name in POINTS:
        assert load(name).version, name
    assert [one for one in POINTS if load(one).complete] == list(PAIRS)


def test_installed_are_the_common_ones_in_their_order():
    assert set(POINTS) <= set(known_implementations())
    assert [one.name for one in choose_implementations("installed")] == list(ORDER)
    assert [one.name for one in choose_implementations("captum-occlusion,shap")] == ["captum-occlusion", "shap"]
    with pytest.raises(sl.InputError, match="holds 'nothing': expected one of seqlight, "):
        choose_implementations(["nothing"])


def test_loading_them_imports_no_peer():
    for name in POINTS:
        load(name)
    own = [one for one in sys.modules if one.startswith("seqlight.studies.implementations")]
    for module in own:
        statements = ast.parse(Path(sys.modules[module].__file__).read_text()).body
        names = [alias.name for one in statements if isinstance(one, ast.Import) for alias in one.names]
        names += [one.module for one in statements if isinstance(one, ast.ImportFrom)]
        assert not {name.partition(".")[0] for name in names} & {"captum", "shap", "tangermeme"}, module


def test_without_noise_smoothgrad_is_the_magnitude_of_the_gradient():
    model, inputs = make_columns(), X.clone().requires_grad_()
    gradient = torch.autograd.grad(model(inputs)[:, 1].sum(), inputs)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = quiet_smoothgrad(1e-9, 2).contributions(model, X, REFERENCES, (), 1, 0)
    torch.testing.assert_close(found, (gradient.abs() * X).sum(dim=1))
