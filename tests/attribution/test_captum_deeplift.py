"""The 31 questions of Captum's own tests of DeepLIFT, asked of ours in other words and numbers.

Two answers differ, on purpose. A module that is called twice is explained, where Captum raises; and what cannot be used
is an InputError, a ValueError, where Captum asserts.
"""

import pytest
import torch
from captum.attr import IntegratedGradients
from torch import nn

import seqlight as sl
from seqlight.errors import InputError


class Sum(nn.Module):
    """Separable, so that integrated gradients give the same: 3 f(a) + f(b - 1), of one number a row or more."""

    def __init__(self, activation):
        super().__init__()
        self.first, self.second = activation(), activation()

    def forward(self, a, b):
        return 3 * self.first(a) + self.second(b - 1)


class Towers(nn.Module):
    """Two inputs of three numbers, through a ReLU that may write over what it was given."""

    def __init__(self, inplace):
        super().__init__()
        self.left, self.right = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.left.weight = nn.Parameter(torch.tensor([[1.0, 2.0, 0.0], [-1.0, 0.5, 1.0], [2.0, 0.0, -1.0]]))
        self.right.weight = nn.Parameter(torch.tensor([[0.0, 1.0, 1.0], [1.0, -2.0, 0.0], [0.5, 0.5, -1.0]]))
        self.relu, self.head = nn.ReLU(inplace), nn.Linear(3, 1, bias=False)
        self.head.weight = nn.Parameter(torch.tensor([[1.0, -1.0, 2.0]]))

    def forward(self, a, b):
        return self.head(self.relu(self.left(a) + self.right(b)))


class Conv(nn.Module):
    """Of sequences, with an output of two dimensions a row."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu = nn.Conv1d(4, 3, 5), nn.ReLU()

    def forward(self, x):
        return self.relu(self.conv(x))


def classifier(inputs, hidden=12, outputs=6):
    """Return a softmax of logits in the hundreds of thousands, as like as weights of one make them."""
    model = nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.ones_(layer.weight)
    return model.append(nn.Softmax(dim=1))


def assert_all_of_it(explainer, inputs, baselines, pairs, **settings):
    """The same twice, with deltas and without, of the inputs' shapes, and complete."""
    found, deltas = explainer.attribute(inputs, baselines, return_convergence_delta=True, **settings)
    again = explainer.attribute(inputs, baselines, **settings)
    for one, other, x in zip(*(v if isinstance(v, tuple) else (v,) for v in (found, again, inputs)), strict=True):
        assert torch.equal(one, other)
        assert one.shape == x.shape
    assert deltas.shape == (pairs,)
    assert deltas.abs().max() < 1e-5
    return found, deltas


def assert_integrals(model, found, inputs, baselines):
    with torch.enable_grad():
        wanted = IntegratedGradients(model).attribute(inputs, baselines, n_steps=200, method="riemann_middle")
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other.float(), rtol=1e-2, atol=1e-2)


ONE_NUMBER = {
    "a number a row": (torch.tensor([2.0]), torch.tensor([4.0])),
    "rows of one number": (torch.tensor([[2.0], [1.0], [3.0]]), torch.tensor([[4.0], [2.0], [0.5]])),
    "below zero": (torch.tensor([-1.5]), torch.tensor([-0.5])),
}


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("name", ONE_NUMBER)
@pytest.mark.reliability("Captum", "inputs that are one number a row, without further dimensions", "explained")
def test_inputs_of_one_number(activation, name):
    inputs = tuple(one.clone().requires_grad_() for one in ONE_NUMBER[name])
    baselines = tuple(torch.zeros_like(one) for one in inputs)
    model = Sum(activation)
    explainer, rows = sl.DeepLift(model), len(inputs[0])
    if inputs[0].ndim == 2:
        model = nn.Sequential(Sum(activation))  # its rows have an output dimension of one
        model.forward = lambda a, b: model[0](a, b)
        explainer = sl.DeepLift(model)
    found, deltas = assert_all_of_it(explainer, inputs, baselines, rows)
    assert torch.equal(deltas, explainer.compute_convergence_delta(found, baselines, inputs))
    assert_integrals(model, found, inputs, baselines)


def test_values_computed_by_hand():
    inputs = torch.tensor([2.0]), torch.tensor([4.0])
    found, delta = sl.DeepLift(Sum(nn.ReLU)).attribute(inputs, (torch.zeros(1), torch.zeros(1)), None, None, True)
    assert [one.item() for one in found] == [6.0, 3.0]
    assert delta.tolist() == [0.0]
    multipliers = sl.DeepLift(Sum(nn.ReLU), multiply_by_inputs=False).attribute(inputs)
    assert [one.item() for one in multipliers] == [3.0, 0.75]


@pytest.mark.parametrize("baselines", [(0, 0.25), (torch.zeros(1, 3), torch.full((1, 3), 0.125)), None])
@pytest.mark.parametrize("inplace", [False, True])
def test_two_towers(inplace, baselines):
    a = torch.tensor([[-4.0, 1.0, -2.0], [2.0, 3.0, 5.0]], requires_grad=True)
    b = torch.tensor([[3.0, 2.0, 1.0], [2.5, 5.0, 4.0]], requires_grad=True)
    explainer = sl.DeepLift(Towers(inplace))
    found, deltas = assert_all_of_it(explainer, (a, b), baselines, 2)
    assert torch.equal(deltas, explainer.compute_convergence_delta(found, baselines, (a, b)))
    wanted = sl.DeepLift(Towers(not inplace)).attribute((a, b), baselines)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


REFERENCES = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 1.0]])


@pytest.mark.parametrize("inplace", [False, True])
def test_two_towers_and_several_references(inplace):
    a, b = torch.tensor([[-4.0, 1.0, -2.0], [2.0, 3.0, 5.0]]), torch.tensor([[3.0, 2.0, 1.0], [2.5, 5.0, 4.0]])
    found, _ = assert_all_of_it(sl.DeepLiftShap(Towers(inplace)), (a, b), (REFERENCES, REFERENCES + 1), 4)
    wanted = sl.DeepLiftShap(Towers(not inplace)).attribute((a, b), (REFERENCES, REFERENCES + 1))
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("multiply", [True, False])
def test_images_of_a_single_point(multiply):
    class Image(Sum):
        def forward(self, a, b):
            return super().forward(a, b).flatten(1)

    inputs = torch.full((3, 1, 1, 1), 2.0), torch.full((3, 1, 1, 1), 4.0)
    explainer = sl.DeepLiftShap(Image(nn.ReLU), multiply_by_inputs=multiply)
    found, _ = assert_all_of_it(explainer, inputs, tuple(torch.zeros_like(one) for one in inputs), 9)
    for one, wanted in zip(found, (6.0, 3.0) if multiply else (3.0, 0.75), strict=True):
        assert torch.equal(one, torch.full((3, 1, 1, 1), wanted))


def test_one_row_and_more_references_than_rows():
    inputs = torch.tensor([[2.0]], requires_grad=True), torch.tensor([[4.0]], requires_grad=True)
    references = torch.zeros(5, 1, requires_grad=True), torch.zeros(5, 1)
    found, _ = assert_all_of_it(sl.DeepLiftShap(Sum(nn.ReLU)), inputs, references, 5)
    assert [one.item() for one in found] == [6.0, 3.0]
    assert not any(one.requires_grad for one in found)


LISTS = REFERENCES.tolist(), (REFERENCES + 1).tolist()
FUNCTIONS = {
    "tensors": lambda: (REFERENCES, REFERENCES + 1),
    "lists": lambda: LISTS,
    "a list of lists": lambda: list(LISTS),
    "a list of tensors": lambda inputs: [REFERENCES, REFERENCES + 1],
    "lists of tensors": lambda: (list(REFERENCES), list(REFERENCES + 1)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.reliability("Captum", "a function that returns its baselines as lists", "taken as the tensors they are")
def test_functions_that_make_references(name):
    explainer = sl.DeepLiftShap(Towers(inplace=True))
    inputs = torch.tensor([[-4.0, 1.0, -2.0]]), torch.tensor([[3.0, 2.0, 1.0]])
    wanted, _ = assert_all_of_it(explainer, inputs, (REFERENCES, REFERENCES + 1), 2)
    found, _ = assert_all_of_it(explainer, inputs, FUNCTIONS[name], 2)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_functions_of_the_inputs():
    explainer = sl.DeepLiftShap(Towers(inplace=True))
    inputs = torch.tensor([[-4.0, 1.0, -2.0]]), torch.tensor([[3.0, 2.0, 1.0]])
    assert_all_of_it(explainer, inputs, lambda given: tuple(torch.cat([one, one - 5]) for one in given), 2)
    with pytest.raises(InputError, match=r"baselines\[0\] is a float: expected a tensor of shape \(baselines, 3\)"):
        explainer.attribute(inputs, lambda: (0.0, 0.5))


@pytest.mark.parametrize("kind", ["DeepLift", "DeepLiftShap"])
def test_custom_attribution_func(kind):
    torch.manual_seed(0)
    X, references = torch.rand(2, 4, 40), torch.rand(2, 4, 40)
    explainer = getattr(sl, kind)(Conv())
    nothing = explainer.attribute(X, references, (1, 0), custom_attribution_func=lambda m: tuple(0 * a for a in m))
    assert torch.equal(nothing, torch.zeros_like(X))
    swapped = explainer.attribute(
        X, references, (1, 0), custom_attribution_func=lambda m, x, r: (m[0] * (1 - r[0]).sum(1, keepdim=True),)
    )
    assert swapped.shape == X.shape
    assert swapped.abs().sum() > 0


def test_a_module_that_is_called_twice():
    torch.manual_seed(0)
    relu, first, second = nn.ReLU(), nn.Linear(3, 2), nn.Linear(2, 2)
    assert_all_of_it(sl.DeepLift(nn.Sequential(first, relu, second, relu)), torch.rand(2, 3), None, 2, target=0)


def test_the_maximum_of_a_pool_gets_the_whole_attribution():
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.MaxPool1d(3)

        def forward(self, x):
            return 2 * self.pool(x[:, None])[:, 0]

    references = torch.tensor([[2.0, 1.0, 6.0], [1.0, 8.0, 3.0]])
    found, delta = sl.DeepLift(Pooled()).attribute(torch.ones(2, 3), references, 0, return_convergence_delta=True)
    assert torch.equal(found, torch.tensor([[0.0, 0.0, -10.0], [0.0, -14.0, 0.0]]))
    assert torch.equal(delta, torch.zeros(2))


def test_futures_are_not_implemented():
    with pytest.raises(NotImplementedError, match="is not implemented for DeepLiftShap: call attribute"):
        sl.DeepLiftShap(Conv()).attribute_future()


def test_a_sigmoid_of_large_numbers():
    model = nn.Sequential(nn.Linear(8, 4, bias=False), nn.ReLU(), nn.Linear(4, 1, bias=False), nn.Sigmoid())
    nn.init.constant_(model[0].weight, 0.5)
    nn.init.constant_(model[2].weight, 0.25)
    X = torch.arange(0.0, 8, requires_grad=True)[None]
    found, _ = assert_all_of_it(sl.DeepLift(model), X, 0 * X, 1, target=torch.tensor(0))
    assert_integrals(model, (found,), (X,), (0 * X,))


ROWS = torch.arange(0.0, 120).reshape(3, 40)
SOFTMAX = {
    "a number": (sl.DeepLift, ROWS[:1], 0.0, torch.tensor(2)),
    "a number, of several rows": (sl.DeepLift, ROWS, 0, torch.tensor([2, 2, 2])),
    "one row for all": (sl.DeepLift, ROWS, torch.arange(1.0, 41)[None], torch.tensor([2, 0, 1])),
    "references": (sl.DeepLiftShap, ROWS[:1], torch.linspace(-2, 2, 200).reshape(5, 40), torch.tensor(2)),
    "references of several rows": (sl.DeepLiftShap, ROWS[:2], torch.linspace(-2, 2, 200).reshape(5, 40), 1),
}


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.reliability(
    "Captum", "a softmax of logits so large that float32 has no digits left", "explained in float64, without a word"
)
def test_a_softmax_of_large_numbers(name):
    kind, X, baselines, target = SOFTMAX[name]
    pairs = len(X) * (len(baselines) if kind is sl.DeepLiftShap else 1)
    found, _ = assert_all_of_it(kind(classifier(40)), X.clone().requires_grad_(), baselines, pairs, target=target)
    assert found.dtype == torch.float32


POOLS = {1: (nn.Conv1d, nn.MaxPool1d), 2: (nn.Conv2d, nn.MaxPool2d), 3: (nn.Conv3d, nn.MaxPool3d)}


@pytest.mark.parametrize("size", [0.2, 5])
@pytest.mark.parametrize("dimensions", POOLS)
def test_convolutions_and_pools(dimensions, size):
    torch.manual_seed(dimensions)
    conv, pool = POOLS[dimensions]
    layers = [conv(1, 2, 3), nn.ReLU(), pool(2), conv(2, 3, 2), nn.ReLU(), pool(2), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3), nn.Softmax(dim=1))
    X, baselines = (torch.randn(2, 1, *[8] * dimensions) for _ in range(2))
    for target in (2, 1):
        assert_all_of_it(sl.DeepLift(model), X.requires_grad_(), size * baselines, 2, target=target)
