"""What the modes say, they say of the line of the model that it is about."""

import types
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.engine.passes import sequence_pass
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.rules.table import rules


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
        self.last = nn.Linear(20, 1)

    def forward(self, X):
        h = X.sum(1) * X[:, 0] + X[:, 1] + 2
        power = torch.distributions.PowerTransform(h)
        return self.last(power(h + 1))


@pytest.mark.parametrize("model", [Integrated(), InPyTorch()], ids=lambda model: type(model).__name__)
def test_a_warning_points_to_the_model(model):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sl.deep_lift_shap(
            model, sl.random_one_hot((1, 4, 20), random_state=0), n_shuffles=2, random_state=0, device="cpu"
        )
    (found,) = [one for one in caught if issubclass(one.category, sl.IntegratedWarning)]
    assert found.filename == __file__


LINEAR = {
    "a cross product with a constant": lambda h: torch.linalg.cross(h[:, :3], torch.ones_like(h[:, :3]), dim=1),
    "a bilinear form with a constant": lambda h: F.bilinear(h, torch.ones_like(h), torch.ones(2, 20, 20).to(h)),
    "the imaginary part of an inverse Fourier transform": lambda h: torch.fft.ihfft(h).imag,
}


@pytest.mark.reliability(
    "operations", "a cross product or a bilinear form with a constant, .imag of an inverse FFT", "complete"
)
@pytest.mark.parametrize("name", LINEAR)
def test_rare_linear_operations_are_known_to_be_linear(name, Around, incompleteness):
    assert incompleteness(Around(LINEAR[name])) < 1e-12


BROADCAST = {
    "degrees": lambda h: torch.special.hermite_polynomial_h(h[:, :, :1], torch.arange(3, device=h.device)),
    "dividends": lambda h: (h[:, :, :1] + 9).__rtruediv__(torch.arange(3).to(h)),
    "signs": lambda h: torch.copysign(h, h.flip(1)),
    "steps": lambda h: torch.heaviside(h.round(), h.flip(1)),
    "angles": lambda h: torch.view_as_real(torch.polar(h.abs() + 1, h.flip(1))),
}


@pytest.mark.reliability(
    "operations",
    "copysign, heaviside and polar of two tensors of the model; polynomials of several degrees",
    "complete",
)
@pytest.mark.parametrize("name", BROADCAST)
def test_functions_of_two_tensors(name, Around, incompleteness):
    assert incompleteness(Around(BROADCAST[name])) < 1e-12


# Ways to write the same model; the first one is what they are compared with.
SPELLINGS = {
    "relu": [F.relu, torch.relu, lambda h: h.relu(), nn.ReLU(), nn.ReLU(inplace=True), lambda h: h.relu_()],
    "softmax": [
        lambda h: F.softmax(h, -1),
        lambda h: F.softmax(input=h, dim=2),
        lambda h: h.softmax(dim=-1),
        lambda h: torch.softmax(h, 2, dtype=h.dtype),
        nn.Softmax(2),
    ],
    "square": [lambda h: h * h, lambda h: torch.mul(h, other=h), lambda h: torch.mul(input=h, other=h)],
    "maxima": [lambda h: F.max_pool1d(h, 2), nn.MaxPool1d(2), lambda h: torch.max_pool1d(h, kernel_size=[2])],
}


class Capricious(nn.Module):
    """Writes each operation in another way from one call to the next."""

    def __init__(self, ways):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.ways, self.calls = nn.Conv1d(4, 6, 3), nn.Linear(54, 2), ways, 0

    def forward(self, x):
        h, self.calls = self.first(x), self.calls + 1
        for i, (name, way) in enumerate(zip(SPELLINGS, self.ways, strict=True)):
            written = SPELLINGS[name]
            h = written[(way[self.calls % len(way)] if way else 0) % len(written)](h)
            h = h + i if name == "maxima" else h.mul(1.5)
        return self.last(h.flatten(1))


def explain_capricious(ways, rows, batch_size):
    X = sl.random_one_hot((rows, 4, 20), random_state=0)
    references = sl.shuffle(X, n=6, random_state=0)
    model = Capricious(ways)
    return sl.deep_lift_shap(model, X, references=references, batch_size=batch_size, device="cpu", hypothetical=True)


@pytest.mark.reliability(
    "accelerators", "a model that writes the same operations in other ways from batch to batch", "the same attributions"
)
@settings(max_examples=12, deadline=None)
@given(
    ways=st.tuples(*[st.lists(st.integers(0, 5), min_size=1, max_size=4) for _ in SPELLINGS]),
    rows=st.integers(1, 5),
    batch_size=st.sampled_from([6, 12, 36]),
)
def test_each_call_is_met_as_it_is_written(ways, rows, batch_size):
    wanted = explain_capricious([()] * len(SPELLINGS), rows, batch_size)
    assert torch.equal(explain_capricious(ways, rows, batch_size), wanted)


class Branching(nn.Module):
    """Takes the course that a further input of its first row says."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv1d(4, 6, 3), nn.Linear(6, 1)

    def forward(self, x, course):
        h, course = self.first(x), int(course[0])
        if course == 0:
            h = h.relu()
        elif course == 1:
            h = F.leaky_relu(h, 0.3)
        elif course == 2:
            h = F.leaky_relu(h, 0.7)
        else:
            h = (h * torch.sigmoid(h)).tanh()
        return self.last(h.mean(2))


@pytest.mark.reliability(
    "accelerators", "a model that takes another course in some batches, by a further input", "the same attributions"
)
@settings(max_examples=12, deadline=None)
@given(courses=st.lists(st.integers(0, 3), min_size=2, max_size=6))
def test_a_course_that_changes_between_blocks(courses):
    X, course = sl.random_one_hot((len(courses), 4, 20), random_state=1), torch.tensor(courses)
    model, references = Branching().double(), sl.shuffle(X, n=12, random_state=0)

    def explain(rows):
        args = {"args": (course[rows],), "references": references[rows], "batch_size": 12, "device": "cpu"}
        return sl.deep_lift_shap(model, X[rows], **args)

    alone = torch.cat([explain(slice(i, i + 1)) for i in range(len(courses))])
    torch.testing.assert_close(explain(slice(None)), alone, rtol=1e-9, atol=1e-12)


class MadeForACall(nn.Module):
    """Reads its input with a function that it makes for each call."""

    def forward(self, X):
        @as_operation
        def read(x):
            return x.flatten(1)

        return read(X).sum(1, keepdim=True)


def test_functions_of_pytorch_alone_are_kept():
    """Any other may hold a model or its tensors, and there may be another for each call."""
    X, policy = sl.random_one_hot((2, 4, 5), random_state=0).float(), CallPolicy(dict(rules()))
    for _ in range(2):
        with sequence_pass(nn.Identity(), [X], policy) as this:
            this.output = MadeForACall()(*this.inputs)
    names = {one.__name__ for one in policy.traceless}
    assert {"flatten", "sum"} >= names
    assert all(isinstance(one, types.MethodDescriptorType) for one in policy.traceless)
    assert names
