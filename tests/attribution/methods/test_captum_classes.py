"""Calls in Captum's style give Captum's results, wherever Captum's own results add up."""

import warnings

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import ConvergenceError, InputError
from user_operations import by_numpy

pytestmark = pytest.mark.accelerator


class Towers(nn.Module):
    """Two inputs, an argument that is not explained, and three outputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = nn.Linear(6, 5), nn.Conv1d(2, 5, 3)
        self.relu, self.tanh, self.head = nn.ReLU(), nn.Tanh(), nn.Linear(5, 3)

    def forward(self, a, b, shift=0.0, scale=1.0):
        h = self.relu(self.left(a)) + self.tanh(self.right(b)).sum(2)
        return self.head(h) * scale + shift


class Map(nn.Module):
    """An output of two dimensions a row."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layer, self.relu = nn.Linear(6, 8), nn.ReLU()

    def forward(self, a):
        return self.relu(self.layer(a)).view(-1, 4, 2)


@pytest.fixture
def towers():
    return Towers().double().eval()


@pytest.fixture
def inputs():
    torch.manual_seed(2)
    return torch.randn(4, 6).double(), torch.randn(4, 2, 7).double()


def both(kind, model, *args, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum's notice about its hooks
        theirs = getattr(captum.attr, kind)(model).attribute(*args, **settings)
    return getattr(sl, kind)(model).attribute(*args, **settings), theirs


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    else:
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-9, atol=1e-12)


BASELINES = {
    "none": lambda a, b: None,
    "numbers": lambda a, b: (0.5, 1),
    "one row": lambda a, b: (a[:1] / 2, b[:1] / 3),
    "rows": lambda a, b: (a.flip(0) / 2, b.roll(1, 0)),
    "mixed": lambda a, b: (0, b.roll(1, 0)),
}


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_of_deep_lift(towers, inputs, name):
    baselines = BASELINES[name](*inputs)
    ours, theirs = both("DeepLift", towers, inputs, baselines, target=1, return_convergence_delta=True)
    assert_same(ours, theirs)
    assert ours[1].shape == (4,)


@pytest.mark.parametrize(
    "target", [0, -1, [0, 1, 2, 1], torch.tensor([2, 0, 1, 1]), torch.tensor([1]), torch.tensor(2)]
)
def test_targets(towers, inputs, target):
    assert_same(*both("DeepLift", towers, inputs, target=target))


@pytest.mark.parametrize("target", [(2, 1), [(0, 0), (1, 1), (3, 0), (2, 1)]])
def test_targets_of_outputs_with_more_dimensions(inputs, target):
    assert_same(*both("DeepLift", Map().double().eval(), inputs[0], target=target))


@pytest.mark.parametrize("shape", [(), (1,)])
def test_no_target_for_a_single_output(inputs, shape):
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0) if not shape else nn.Identity())
    assert_same(*both("DeepLift", model.double().eval(), inputs[0]))


def test_arguments_that_are_not_explained(towers, inputs):
    shift = torch.randn(4, 3).double()
    assert_same(*both("DeepLift", towers, inputs, target=1, additional_forward_args=(shift, 2.0)))
    ours = sl.DeepLift(towers).attribute(inputs, target=1, additional_forward_args=shift)
    assert_same(ours, sl.DeepLift(towers).attribute(inputs, target=1, additional_forward_args=(shift,)))
    baselines = (torch.randn(3, 6).double(), torch.randn(3, 2, 7).double())
    assert_same(*both("DeepLiftShap", towers, inputs, baselines, target=1, additional_forward_args=(shift, 2.0)))


def test_deep_lift_shap(towers, inputs):
    torch.manual_seed(3)
    baselines = (torch.randn(3, 6).double(), torch.randn(3, 2, 7).double())
    ours, theirs = both("DeepLiftShap", towers, inputs, baselines, target=2, return_convergence_delta=True)
    assert_same(ours, theirs)
    assert ours[1].shape == (12,)
    assert ours[1].abs().max() < 1e-12


def test_each_row_may_have_baselines_of_its_own_in_both_towers(towers, inputs):
    torch.manual_seed(3)
    a, b = torch.randn(4, 3, 6).double(), torch.randn(4, 3, 2, 7).double()
    found = sl.DeepLiftShap(towers).attribute(inputs, (a, b), target=2)
    for i in range(4):
        row = tuple(one[i : i + 1] for one in inputs)
        alone = sl.DeepLiftShap(towers).attribute(row, (a[i], b[i]), target=2)
        assert_same(tuple(one[i : i + 1] for one in found), alone)
    shared = sl.DeepLiftShap(towers).attribute(inputs, (a[0], b), target=2)
    assert_same(shared[0][0], found[0][0])


def test_baselines_from_a_function(inputs):
    model, a = Map().double().eval(), inputs[0]
    fixed = torch.randn(3, 6).double()
    assert_same(*both("DeepLiftShap", model, a, lambda x: x[:3] / 2, target=(0, 0)))
    assert_same(*both("DeepLiftShap", model, a, lambda: fixed, target=(0, 0)))


@pytest.mark.parametrize("kind", ["DeepLift", "DeepLiftShap"])
@pytest.mark.parametrize(
    "custom",
    [
        lambda m: tuple(2 * one for one in m),
        lambda m, x: tuple(a * b for a, b in zip(m, x, strict=True)),
        lambda m, x, r: tuple(a * (b - c) for a, b, c in zip(m, x, r, strict=True)),
        sl.hypothetical_attributions,
    ],
)
def test_custom_attribution_func(inputs, kind, custom):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(15, 2)).double().eval()
    x = inputs[1]
    assert_same(*both(kind, model, x, x.roll(1, 0), target=1, custom_attribution_func=custom))


def test_multipliers(inputs):
    model, a = Map().double().eval(), inputs[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = captum.attr.DeepLift(model, multiply_by_inputs=False).attribute(a, target=(0, 0))
    explainer = sl.DeepLift(model, multiply_by_inputs=False)
    assert not explainer.multiplies_by_inputs
    assert explainer.has_convergence_delta()
    assert_same(explainer.attribute(a, target=(0, 0)), theirs)


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_the_batch_size_does_not_matter(towers, inputs, batch_size):
    baselines = (torch.randn(3, 6).double(), torch.randn(3, 2, 7).double())
    found = sl.DeepLiftShap(towers, batch_size=batch_size).attribute(inputs, baselines, target=2)
    assert_same(found, sl.DeepLiftShap(towers).attribute(inputs, baselines, target=2))


def test_the_model_is_only_borrowed(towers, inputs):
    towers.train()
    sl.DeepLift(towers).attribute(inputs, target=0)
    with pytest.raises(InputError):
        sl.DeepLift(towers).attribute(inputs, target=7)
    assert all(module.training for module in towers.modules())
    assert all(one.requires_grad and one.grad is None for one in towers.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in towers.modules())


def test_integers_are_explained_as_numbers():
    model = nn.Sequential(nn.Flatten(), nn.Linear(40, 2), nn.ReLU())
    X = sl.random_one_hot((3, 4, 10), random_state=0)
    assert_same(sl.DeepLift(model).attribute(X, target=0), sl.DeepLift(model).attribute(X.float(), target=0))


class Rounded(nn.Module):
    def forward(self, a):
        return (a * by_numpy(a)).sum(1, keepdim=True)


def test_deltas_that_are_too_high(inputs):
    with pytest.raises(ConvergenceError):
        sl.DeepLift(Rounded(), deltas="raise").attribute(inputs[0])
    with pytest.warns(sl.ConvergenceWarning, match="too high"):
        sl.DeepLift(Rounded()).attribute(inputs[0])


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("DeepLift", {"inputs": 1.0}, "inputs is a float"),
        ("DeepLift", {"inputs": (torch.zeros(3, 6), torch.zeros(4, 2, 7))}, "the same number of rows"),
        ("DeepLift", {"inputs": ()}, "the same number of rows"),
        ("DeepLift", {"baselines": 0}, "2 inputs and 1 baseline: expected a tuple with an entry for each input"),
        ("DeepLift", {"baselines": (0, np.zeros(1))}, "a baseline is an ndarray: .*; use torch.from_numpy"),
        ("DeepLift", {"baselines": (0, torch.zeros(2, 2, 7))}, r"of shape \(2, 2, 7\)"),
        ("DeepLift", {"baselines": (0, "zero")}, "a str"),
        ("DeepLift", {"target": None}, "no target is given"),
        ("DeepLift", {"target": [0, 1]}, "a list of length 2"),
        ("DeepLift", {"target": ["one"] * 4}, "target is the list .*: expected an integer"),
        ("DeepLift", {"target": torch.tensor([1.5])}, "target is a tensor of shape"),
        ("DeepLift", {"target": 3}, "target is 3"),
        ("DeepLift", {"custom_attribution_func": 3}, "custom_attribution_func is an int"),
        ("DeepLiftShap", {"baselines": None}, "no baselines are given: .*; pass some, or use DeepLift"),
        ("DeepLiftShap", {"baselines": (0, 0)}, r"baselines\[0\] is an int: .* shape \(baselines, 6\), shared by all"),
        ("DeepLiftShap", {"baselines": (np.zeros(6), 0)}, r"an ndarray: .*from_numpy\(baselines\[0\]\)"),
        ("DeepLiftShap", {"baselines": (torch.zeros(3, 6), torch.zeros(2, 2, 7))}, r"baselines\[1\] is of shape"),
        ("DeepLiftShap", {"baselines": (torch.zeros(3, 6), torch.zeros(3, 3, 2, 7))}, r"baselines\[1\] is of shape"),
        ("DeepLiftShap", {"baselines": (torch.tensor(0.0), torch.zeros(3, 2, 7))}, r"baselines\[0\] is of shape"),
        ("DeepLiftShap", {"baselines": (torch.zeros(0, 6), torch.zeros(0, 2, 7))}, r"baselines\[0\] is of shape"),
    ],
)
def test_unusable_arguments_raise(towers, inputs, kind, settings, message):
    given = {"inputs": inputs, "target": 0, "baselines": (torch.zeros(2, 6), torch.zeros(2, 2, 7)), **settings}
    if kind == "DeepLift" and "baselines" not in settings:
        del given["baselines"]
    with pytest.raises(InputError, match=message):
        getattr(sl, kind)(towers).attribute(**given)


@pytest.mark.reliability("Captum", "baselines in integers for inputs that are fractions", "as the same in fractions")
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_baselines_in_integers(towers, inputs, dtype):
    given = tuple(torch.ones_like(one).to(dtype) for one in inputs)
    wanted = tuple(torch.ones_like(one) for one in inputs)
    for kind in ("DeepLift", "DeepLiftShap"):
        explainer = getattr(sl, kind)(towers)
        assert_same(*(explainer.attribute(inputs, baselines, target=1) for baselines in (given, wanted)))


@pytest.mark.parametrize("target", [np.int64(1), np.array(1), np.array([1])])
def test_targets_of_numpy(towers, inputs, target):
    assert_same(sl.DeepLift(towers).attribute(inputs, target=target), sl.DeepLift(towers).attribute(inputs, target=1))


def test_baselines_of_a_single_input_need_no_tuple(inputs):
    with pytest.raises(InputError, match=r"^baselines is of shape \(3, 5\): .* shape \(baselines, 6\), shared"):
        sl.DeepLiftShap(Map().double()).attribute(inputs[0], torch.zeros(3, 5), target=(0, 0))


@pytest.mark.parametrize("kind", ["DeepLift", "DeepLiftShap"])
@pytest.mark.parametrize(
    ("custom", "message"),
    [
        (lambda m: m[0], r"returned a Tensor: expected a tuple of 2 tensors, one for each input, .* here (4|8)\."),
        (lambda m: None, "returned None: expected a tuple of 2 tensors"),
        (lambda m: m[:1], "returned a tuple of length 1: expected a tuple of 2 tensors"),
        (lambda m: (m[0], m[1].sum()), r"a tuple whose entry 1 is of shape \(\) and torch.float64: expected"),
        (lambda m: (m[0][:2], m[1]), r"a tuple whose entry 0 is of shape \(2, 6\) and"),
        (lambda m: [m[0], m[1].numpy()], "a list whose entry 1 is an ndarray: expected"),
        (lambda m: (m[0] > 0, m[1]), r"entry 0 is of shape \((4|8), 6\) and torch.bool"),
        (lambda m, x, r, more, *, name: m, r"<lambda> also needs more, name: .* at most 3 arguments; give the others"),
    ],
)
def test_unusable_results_of_a_custom_attribution_func_raise(towers, inputs, kind, custom, message):
    baselines = tuple(one[:2] if kind == "DeepLiftShap" else one for one in inputs)
    with pytest.raises(InputError, match=message):
        getattr(sl, kind)(towers).attribute(inputs, baselines, target=0, custom_attribution_func=custom)


def test_a_bare_result_for_a_bare_input(inputs):
    with pytest.raises(InputError, match=r"returned a Tensor: expected a tuple of one tensor, .*; return \(it,\)\."):
        sl.DeepLift(Map().double()).attribute(inputs[0], target=(0, 0), custom_attribution_func=lambda m: m[0])


def test_a_warning_names_the_line_of_the_caller(inputs):
    with pytest.warns(sl.ConvergenceWarning) as caught:
        sl.DeepLift(Rounded()).attribute(inputs[0])
    assert caught[0].filename == __file__


class Total(nn.Module):
    def forward(self, X):
        return X.square().sum()


@pytest.mark.reliability(
    "Captum", "a model that returns a bare number", "explained for a single row; for several an error that says why"
)
def test_a_bare_number_is_the_output_of_a_single_row():
    X = torch.rand(2, 5)
    attributions = sl.DeepLift(Total()).attribute(X[:1])
    torch.testing.assert_close(attributions, X[:1].square())
    with pytest.raises(InputError, match=r"the model returns shape \(\): expected one number for each row"):
        sl.DeepLift(Total()).attribute(X)
