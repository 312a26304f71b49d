"""Attributions with a graph: equal to those of deep_lift_shap, with derivatives that finite differences confirm."""

import copy

import pytest
import torch
import torch.utils._python_dispatch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from seqlight.errors import ConvergenceWarning, InputError, UnsupportedOperation
from user_operations import by_numpy

LENGTH = 24


class Net(nn.Module):
    """Convolutions with batch norm and dropout, and three outputs."""

    def __init__(self, extra=0):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv1d(4, 6, 5, padding=2), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.MaxPool1d(3, 2),
            nn.Dropout(0.5), nn.Conv1d(6, 6, 3), nn.GELU(), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(54 + extra, 3)

    def forward(self, x, *args):
        return self.head(torch.cat([self.body(x), *args], dim=1))


class Attentive(nn.Module):
    """Attention, layer norm, a gate, and a loop over rows."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv1d(4, 8, 3)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.scale = nn.Parameter(torch.tensor(0.3))
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        h = self.block(self.first(x).mT)
        h = h * torch.sigmoid(h * F.softplus(self.scale))
        return torch.stack([self.head(row.mean(0)) for row in h])


@pytest.fixture
def X():
    return sl.random_one_hot((3, 4, LENGTH), random_state=0).double()


@pytest.fixture
def references(X):
    return sl.dinucleotide_shuffle(X, n=2, random_state=0)


def check_gradients(model, function):
    """Compare the gradient of a number along a random direction of all parameters with a central difference."""
    parameters = list(model.parameters())
    torch.manual_seed(2)
    directions = [torch.randn_like(one) for one in parameters]
    for one in parameters:
        one.grad = None
    function().backward()
    found = sum((one.grad * v).sum() for one, v in zip(parameters, directions, strict=True) if one.grad is not None)

    def moved(step):
        with torch.no_grad():
            for one, v in zip(parameters, directions, strict=True):
                one.add_(v, alpha=step)
            try:
                return function()
            finally:
                for one, v in zip(parameters, directions, strict=True):
                    one.sub_(v, alpha=step)

    expected = (moved(1e-6) - moved(-1e-6)) / 2e-6
    assert abs(expected) > 1e-4
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("make", [Net, Attentive])
def test_they_are_those_of_deep_lift_shap_and_their_derivatives_are_right(make, X, references):
    model = make().double()
    found = sl.differentiable_attributions(model, X, references, target=1)
    expected = sl.deep_lift_shap(model, X, references=references, target=1)
    torch.testing.assert_close(found.detach(), expected, rtol=1e-9, atol=1e-12)
    torch.manual_seed(0)
    weights = torch.randn_like(X)

    def loss():
        attributions = sl.differentiable_attributions(model, X, references, target=1)
        return (attributions * weights).sum() + attributions.square().sum()

    check_gradients(model, loss)


def test_options_are_those_of_deep_lift_shap(X, references):
    model, extra = Net(2).double(), torch.arange(6.0).double().view(3, 2)
    for options in ({"hypothetical": True}, {"raw_outputs": True}, {"target": [0, sl.Contrast(1, 2)]}):
        found = sl.differentiable_attributions(model, X, references, args=[extra], **options)
        expected = sl.deep_lift_shap(model, X, [extra], references=references, **options)
        torch.testing.assert_close(found.detach(), expected)


def test_references_of_a_function_are_the_same(X):
    model = Net().double()
    found = sl.differentiable_attributions(model, X, n_shuffles=2, random_state=7)
    torch.testing.assert_close(found.detach(), sl.deep_lift_shap(model, X, n_shuffles=2, random_state=7))


def test_float32_is_right_to_rounding(X, references):
    model = Attentive()
    found = sl.differentiable_attributions(model, X.float(), references.float())
    expected = sl.deep_lift_shap(model, X.float(), references=references.float())
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_the_sequences_and_the_references_get_gradients_as_well(X, references):
    model = Attentive().double()
    soft = (X[:1] * 0.9 + 0.025).requires_grad_()
    against = (references[:1] * 0.9 + 0.025).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, r: sl.differentiable_attributions(model, x, r)[0, :, ::7], (soft, against), fast_mode=True
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3), st.booleans())
def test_they_sum_to_the_difference_of_outputs(seed, n, equal):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv1d(4, 3, 3), nn.SiLU(), nn.AdaptiveMaxPool1d(3), nn.Flatten(), nn.Linear(9, 1)
    ).double()
    X = sl.random_one_hot((2, 4, 10), random_state=seed).double()
    references = X.unsqueeze(1).repeat(1, n, 1, 1) if equal else sl.shuffle(X, n=n, random_state=seed)
    found = sl.differentiable_attributions(model, X, references)
    differences = model(X) - model(references.flatten(0, 1)).view(2, n, 1).mean(1)
    torch.testing.assert_close(found.sum((1, 2)), differences[:, 0])
    found.square().sum().backward()
    assert all(one.grad.isfinite().all() for one in model.parameters() if one.grad is not None)


@pytest.mark.reliability(
    "Attributions to train with",
    "attributions with a graph of a model that is being trained",
    "it stays as it is, and gets no gradient",
)
def test_the_model_is_only_borrowed(X, references):
    model = Net().double().train()
    model.body[4].eval()
    before, modes = copy.deepcopy(model.state_dict()), [one.training for one in model.modules()]
    buffers, random = [id(one) for one in model.buffers()], torch.get_rng_state()
    sl.differentiable_attributions(model, X, references)
    with pytest.raises(InputError):
        sl.differentiable_attributions(model, X, references, target=9)
    assert [one.training for one in model.modules()] == modes
    assert [id(one) for one in model.buffers()] == buffers
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert all(one.requires_grad and one.grad is None for one in model.parameters())


def test_frozen_parameters_get_no_gradient(X, references):
    model = Net().double()
    model.body.requires_grad_(False)
    sl.differentiable_attributions(model, X, references).square().sum().backward()
    assert model.head.weight.grad is not None
    assert all(one.grad is None for one in model.body.parameters())


@pytest.mark.reliability(
    "Attributions to train with",
    "an operation whose multiplier has no derivative, as a part of a loss",
    "it is refused by name",
)
def test_what_cannot_be_differentiated_is_refused_by_name(X, references):
    class Power(nn.Module):
        def forward(self, x):
            return torch.pow(x, x).flatten(1)

    model = nn.Sequential(nn.Conv1d(4, 2, LENGTH), nn.Sigmoid(), Power()).double()
    with pytest.raises(UnsupportedOperation, match=r"pow has no multiplier that can be differentiated.* '2' \(Power\)"):
        sl.differentiable_attributions(model, X, references)


@pytest.mark.reliability(
    "Attributions to train with",
    "attributions with a graph of a model that takes its numbers by way of NumPy",
    "a warning that they do not add up",
)
def test_what_does_not_add_up_is_told(X, references):
    class Unseen(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv1d(4, 2, 3)

        def forward(self, x):
            h = self.conv(x)
            return (h.sum(2) + by_numpy(h.sin()).sum(2))[:, :1]

    with pytest.warns(ConvergenceWarning, match="deltas too high"):
        sl.differentiable_attributions(Unseen().double(), X, references)


def test_a_model_may_scale_its_input_in_place(X, references):
    class Scaling(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.scale, self.conv = nn.Parameter(torch.tensor(0.7)), nn.Conv1d(4, 3, 5, padding="same")

        def forward(self, x):
            return self.conv(x.mul_(self.scale)).relu().sum((1, 2))

    model = Scaling().double()
    check_gradients(model, lambda: sl.differentiable_attributions(model, X.clone(), references).square().sum())


def test_nothing_is_added_to_gradients_of_inputs_that_need_none(X, references):
    """The gradient at the letters is the dearest of the first convolution, and nobody has asked for it."""
    shapes, plain = [], torch.ops.aten.convolution_backward
    model = Net().double()
    attributions = sl.differentiable_attributions(model, X, references)

    class Seen(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is plain.default:
                shapes.append((args[1].shape[1], args[-1][0]))
            return func(*args, **(kwargs or {}))

    with Seen():
        attributions.square().sum().backward()
    assert (6, True) in shapes
    assert (4, False) in shapes
    assert (4, True) not in shapes


def test_inference_mode_is_refused():
    model, X = Net().eval(), sl.random_one_hot((2, 4, LENGTH), random_state=0)
    with torch.inference_mode(), pytest.raises(InputError, match=r"inference_mode\(\) is on"):
        sl.differentiable_attributions(model, X, sl.shuffle)
    with torch.no_grad():
        assert not sl.differentiable_attributions(model, X, sl.shuffle).requires_grad


@pytest.mark.reliability(
    "Attributions to train with",
    "sequences, references and further inputs that were made in torch.inference_mode()",
    "the same attributions and gradients as of others; PyTorch's error before",
)
def test_inputs_may_be_made_in_inference_mode(X, references):
    model, extra = Net(1).double(), torch.rand(len(X), 1).double()
    with torch.inference_mode():
        made = [one.clone() for one in (X, references, extra)]
    found = []
    for x, pairs, more in (X, references, extra), made:
        model.zero_grad()
        attributions = sl.differentiable_attributions(model, x, pairs, args=[more])
        attributions.square().sum().backward()
        found.append([attributions.detach(), model.body[0].weight.grad.clone(), model.head.weight.grad.clone()])
    assert all(map(torch.equal, *found))


@pytest.mark.reliability(
    "Attributions to train with",
    "a training with deterministic algorithms, as with Trainer(deterministic=True)",
    "the same attributions and gradients; nearly every model with GELU or attention ended in an error of put_",
)
@pytest.mark.parametrize("kind", [Net, Attentive])
def test_deterministic_algorithms_suffice(kind, X, references):
    references[..., : LENGTH // 2] = X[:, None, :, : LENGTH // 2]  # where both are equal, multipliers are slopes
    model = kind().double()

    def train():
        model.zero_grad()
        attributions = sl.differentiable_attributions(model, X, references)
        attributions.square().sum().backward()
        return [attributions.detach(), *(one.grad.clone() for one in model.parameters() if one.grad is not None)]

    plain = train()
    torch.use_deterministic_algorithms(True)
    try:
        found = train()
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(found, plain)
