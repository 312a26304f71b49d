"""The Explanation that ``attribute`` returns: every field, for every kind of target."""

import warnings

import pytest
import torch
from torch import nn

import seqlight as sl
from output_targets import TARGETS, Reading, log_odds
from seqlight import Contrast, attribute, deep_lift_shap, random_one_hot
from seqlight.errors import ConvergenceError, ConvergenceWarning, InputError, ReferencesWarning
from user_operations import by_numpy

pytestmark = pytest.mark.accelerator

LENGTH = 24


class Net(nn.Module):
    """Three outputs that no rule of one layer explains, and how often it was called."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv1d(4, 6, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten())
        self.head = nn.Linear(6 * LENGTH // 2, 3)
        self.rows = []

    def forward(self, x):
        self.rows.append(len(x))
        return torch.tanh(self.head(self.body(x)))


class Gate(nn.Module):
    """Depends on its input where no gradient sees it."""

    def forward(self, x):
        x = x.flatten(1)
        return (x * by_numpy(x.cumsum(1))).sum(1, keepdim=True)


@pytest.fixture
def X():
    return random_one_hot((3, 4, LENGTH), random_state=0)


@pytest.fixture
def model():
    return Net().double()


def explain(model, X, **settings):
    return attribute(model, X, **{"device": "cpu", "random_state": 0, "n_shuffles": 5, **settings})


def reference(model, X, **settings):
    return deep_lift_shap(model, X, **{"device": "cpu", "random_state": 0, "n_shuffles": 5, **settings})


def test_equal_to_deep_lift_shap(model, X):
    found = explain(model, X, multipliers=True)
    assert torch.equal(found.attributions, reference(model, X))
    assert torch.equal(found.hypothetical, reference(model, X, hypothetical=True))
    m, r = reference(model, X, raw_outputs=True, return_references=True)
    assert torch.equal(found.multipliers, m)
    assert torch.equal(found.references.double(), r)
    assert found.references.dtype == X.dtype
    assert found.random_state == 0
    assert found.n_references.tolist() == [5, 5, 5]


def test_outputs_deltas_and_errors(model, X):
    found = explain(model, X, multipliers=True)
    with torch.no_grad():
        y, f = model(X.double())[:, 0], torch.stack([model(r.double())[:, 0] for r in found.references])
    torch.testing.assert_close(found.outputs, y)
    torch.testing.assert_close(found.reference_outputs, f)
    torch.testing.assert_close(found.differences, y - f.mean(1))
    sums = (found.multipliers * (X.unsqueeze(1) - found.references)).sum((2, 3))
    torch.testing.assert_close(found.deltas, sums - (y.unsqueeze(1) - f), rtol=0, atol=1e-14)
    assert found.deltas.abs().max() < 1e-12
    sizes = (y.unsqueeze(1) - f).abs().mean(1, keepdim=True)
    torch.testing.assert_close(found.relative_deltas, found.deltas.abs() / sizes)
    m, r = found.multipliers, found.references.double()
    each = m - (m * r).sum(2, keepdim=True)
    torch.testing.assert_close(found.standard_error, each.std(1) / 5**0.5, rtol=1e-9, atol=1e-14)


def test_one_reference_has_no_standard_error(model, X):
    found = explain(model, X, n_shuffles=1)
    assert torch.isnan(found.standard_error).all()
    assert torch.isfinite(found.attributions).all()


@pytest.mark.parametrize("name", TARGETS)
def test_each_kind_of_target_is_explained_like_a_model_of_its_own(model, X, name):
    target, read = TARGETS[name]
    found = explain(model, X, target=target)
    alone = explain(Reading(model, read), X)
    torch.testing.assert_close(found.attributions, alone.attributions, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.outputs, alone.outputs)
    assert found.deltas.abs().max() < 1e-12
    torch.testing.assert_close(reference(model, X, target=target), alone.attributions, rtol=1e-9, atol=1e-12)


def test_several_targets_from_one_pass_equal_each_on_its_own(model, X):
    targets = [0, Contrast(2, 1), log_odds, torch.tensor([0, 1, 2])]
    model.rows.clear()
    found = explain(model, X, target=targets, multipliers=True, batch_size=100)
    assert model.rows == [3, 15, 2]
    assert found.attributions.shape == (3, 4, 4, LENGTH)
    assert found.deltas.shape == found.reference_outputs.shape == (3, 4, 5)
    assert found.multipliers.shape == (3, 4, 5, 4, LENGTH)
    for k, target in enumerate(targets):
        alone, mine = explain(model, X, target=target, multipliers=True), found.of_target(k)
        for name in ("attributions", "hypothetical", "standard_error", "outputs", "reference_outputs", "multipliers"):
            torch.testing.assert_close(getattr(mine, name), getattr(alone, name), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(mine.differences, found.differences[:, k])
        assert torch.equal(mine.references, found.references)
    assert reference(model, X, target=[0, 1]).shape == (3, 2, 4, LENGTH)
    assert reference(model, X, target=[0], raw_outputs=True).shape == (3, 1, 5, 4, LENGTH)


def test_a_target_for_each_sequence(model, X):
    found = explain(model, X, target=torch.tensor([2, 0, 1]), batch_size=7)
    for i, target in enumerate([2, 0, 1]):
        alone = explain(model, X[i : i + 1], target=target)
        torch.testing.assert_close(found.attributions[i], alone.attributions[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [tuple, dict])
def test_models_with_several_outputs_take_a_function_as_target(model, X, shape):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            y = self.model(x)
            return (y, y * y) if shape is tuple else {"y": y, "square": y * y}

    found = explain(Both(), X, target=lambda out: out[1 if shape is tuple else "square"][:, 0])
    wanted = explain(Reading(model, lambda y: y[:, 0] ** 2), X)
    torch.testing.assert_close(found.attributions, wanted.attributions, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("target", [0, [0, 1]])
def test_results_do_not_depend_on_the_batch_size(model, X, target):
    wanted = explain(model, X, target=target, batch_size=64)
    for batch_size in (1, 3, 5, 11):
        found = explain(model, X, target=target, batch_size=batch_size)
        torch.testing.assert_close(found.attributions, wanted.attributions, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.standard_error, wanted.standard_error, rtol=0, atol=1e-12)


# n_shuffles="auto": until the standard error is small enough.


@pytest.mark.parametrize("batch_size", [1, 7, 32, 200])
def test_auto_stops_each_sequence_on_its_own(model, X, batch_size):
    X = torch.cat([X, random_one_hot((5, 4, LENGTH), random_state=3)])
    settings = {"n_shuffles": "auto", "tolerance": 0.25, "target": [0, 1], "multipliers": True}
    found = explain(model, X, batch_size=batch_size, **settings)
    used = found.n_references.tolist()
    assert len(set(used)) > 1, "nothing that differs"
    assert all(n % 10 == 0 for n in used)
    for i, n in enumerate(used):
        fixed = explain(model, X[i : i + 1], target=[0, 1], n_shuffles=n, references=sl.dinucleotide_shuffle)
        torch.testing.assert_close(found.attributions[i], fixed.attributions[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(found.standard_error[i], fixed.standard_error[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(found.deltas[i, :, :n], fixed.deltas[0], rtol=0, atol=1e-12)
        assert torch.equal(found.references[i, :n], fixed.references[0])
        for rest in (found.deltas, found.reference_outputs, found.multipliers):
            assert torch.isnan(rest[i, :, n:]).all()
        there = X[i] * torch.ones(2, 1, 1)

        def size(one, there=there):
            return (one * there).square().sum((1, 2)).sqrt()

        assert (size(fixed.standard_error[0]) <= 0.25 * size(fixed.attributions[0])).all()
        if n > 10:
            short = explain(model, X[i : i + 1], target=[0, 1], n_shuffles=n - 10)
            assert not (size(short.standard_error[0]) <= 0.25 * size(short.attributions[0])).all()
    assert found.deltas.shape[2] == max(used)
    torch.testing.assert_close(found.differences, found.attributions.sum((2, 3)), rtol=0, atol=1e-12)


def test_auto_warns_of_sequences_that_stay_uncertain(model, X):
    with pytest.warns(ReferencesWarning, match="3 of 3 sequences are not known to a tolerance of 0.001 after 25 ref"):
        found = explain(model, X, n_shuffles="auto", tolerance=0.001, max_shuffles=25)
    assert found.n_references.tolist() == [25, 25, 25]
    fixed = explain(model, X, n_shuffles=25)
    torch.testing.assert_close(found.attributions, fixed.attributions, rtol=0, atol=1e-12)


def test_auto_of_references_that_are_given_or_made_by_a_function(model, X):
    given = sl.dinucleotide_shuffle(X, n=30, random_state=5)
    settings = {"n_shuffles": "auto", "tolerance": 0.3}
    found = explain(model, X, references=given, **settings)
    made = explain(model, X, references=lambda X, n: sl.dinucleotide_shuffle(X, n=n, random_state=5), max_shuffles=30,
                   **settings)  # fmt: skip
    assert found.random_state is None
    assert found.n_references.tolist()[0] == made.n_references.tolist()[0] < 30
    torch.testing.assert_close(found.attributions[0], made.attributions[0], rtol=0, atol=1e-12)


# Refusals.


def test_policies_for_deltas_that_are_too_high(X):
    with pytest.warns(ConvergenceWarning, match="too high"):
        explain(Gate(), X)
    with pytest.raises(ConvergenceError, match="too high"):
        explain(Gate(), X, deltas="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert explain(Gate(), X, deltas="ignore").deltas.abs().max() > 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_shuffles": "all"}, "expected a number or 'auto'"),
        ({"n_shuffles": "auto", "max_shuffles": 1}, "max_shuffles is 1"),
        ({"n_shuffles": "auto", "tolerance": 0.0}, "tolerance is 0.0"),
        ({"deltas": "shout"}, "deltas is 'shout'"),
        ({"target": None}, "target is None"),
        ({"target": 3}, "target is 3"),
        ({"target": [0, 3]}, "target is 3"),
    ],
)
def test_unusable_arguments_raise(model, X, settings, message):
    with pytest.raises(InputError, match=message):
        explain(model, X, **settings)


def test_a_target_function_that_raises_leaves_nothing_on_the_model(model, X):
    model.train()
    with pytest.raises(ZeroDivisionError):
        explain(model, X, target=lambda y: 1 / 0)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_fields_that_are_not_kept_are_none(model, X):
    found = explain(model, X, keep_references=False)
    assert found.references is None
    assert found.multipliers is None
    with pytest.raises(InputError, match="no target 0"):
        found.of_target(0)
    assert len(found) == 3
    assert "attributions, hypothetical, standard_error: (3, 4, 24) float64" in repr(found)
