"""Promises of every method but DeepLIFT: the model is only borrowed, and methods agree wherever they must."""

import random
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import seqlight as sl
from output_targets import TARGETS, Reading, log_odds
from seqlight import Contrast, deep_lift_shap, random_one_hot
from seqlight.attribution.methods.gradients import input_x_gradient
from seqlight.attribution.methods.integrated_gradient import integrated_gradients
from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis

pytestmark = pytest.mark.accelerator

LENGTH = 12


def mutated(model, X, **settings):
    return saturation_mutagenesis(model, X, **{"device": "cpu", "hypothetical": True, "target": 0, **settings})


def differentiated(model, X, **settings):
    return input_x_gradient(model, X, **{"device": "cpu", **settings}).hypothetical


def integrated(model, X, **settings):
    chosen = {"device": "cpu", "n_shuffles": 3, "n_steps": 6, "random_state": 0, **settings}
    return integrated_gradients(model, X, **chosen).hypothetical


METHODS = {"mutagenesis": mutated, "gradients": differentiated, "integrated gradients": integrated}
each_method = pytest.mark.parametrize("explain", METHODS.values(), ids=METHODS)


class Model(nn.Module):
    """Normalises, drops out, takes a further input, and writes into its input and a buffer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 6, 3, padding=1)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6 * LENGTH, 3)
        self.register_buffer("seen", torch.zeros(1))
        self.calls, self.fails_at, self.most = 0, None, 0

    def forward(self, X, more=None):
        self.calls += 1
        self.most = max(self.most, len(X))
        self.seen += len(X)
        random.random(), np.random.rand(), torch.rand(1)
        if self.calls == self.fails_at:
            raise ArithmeticError("in the middle")
        X *= 2
        y = torch.tanh(self.head(self.drop(self.norm(self.conv(X)).relu()).flatten(1)))
        if more is not None:
            more += 1
            y = y * more
        return y


@pytest.fixture
def X():
    X = random_one_hot((5, 4, LENGTH), random_state=0)
    X[1, :, 3] = 0
    return X


@pytest.fixture
def model():
    model = Model().double()
    model.norm.eval()
    model.conv.bias.requires_grad_(False)
    model.conv.weight.grad = torch.ones_like(model.conv.weight)
    model.conv.register_forward_hook(lambda *_: None)
    model.head.register_full_backward_hook(lambda *_: None)
    return model


def state_of(model):
    return (
        [(name, value.tolist()) for name, value in model.state_dict().items()],
        [(id(p), p.data_ptr(), p.dtype, p.device, p.requires_grad, id(p.grad)) for p in model.parameters()],
        [(id(b), b.data_ptr()) for b in model.buffers()],
        [p.grad.tolist() for p in model.parameters() if p.grad is not None],
        [(m.training, list(m._forward_hooks), list(m._backward_hooks)) for m in model.modules()],
        (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),
        (torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled()),
    )


@each_method
@pytest.mark.parametrize("dtype", [None, "float32", "bfloat16"])
@pytest.mark.parametrize("fails_at", [None, 1, 3])
def test_the_model_and_global_settings_are_restored(model, X, explain, dtype, fails_at):
    more = torch.ones(5, 1, dtype=torch.float64)
    integrated(Model(), X)  # so that Captum is loaded
    model.fails_at = fails_at
    before = state_of(model)
    if fails_at:
        with pytest.raises(ArithmeticError):
            explain(model, X, dtype=dtype, batch_size=2, args=(more,))
    else:
        assert torch.isfinite(explain(model, X, dtype=dtype, batch_size=2, args=(more,))).all()
    assert state_of(model) == before
    assert (more == 1).all()


@each_method
def test_a_target_that_raises_leaves_nothing_behind(model, X, explain):
    before = state_of(model)
    with pytest.raises(ZeroDivisionError):
        explain(model, X, target=lambda y: 1 / 0)
    assert state_of(model) == before


@each_method
def test_the_input_is_unchanged(model, X, explain):
    X = X.double().requires_grad_()
    before = X.detach().clone()
    found = explain(model, X)
    assert torch.equal(X.detach(), before)
    assert X.grad is None
    assert not found.requires_grad


@each_method
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_under_any_mode(model, X, explain, mode):
    wanted = explain(model, X, args=(torch.ones(5, 1),))
    with mode():
        found = explain(model, X.clone(), args=(torch.ones(5, 1),))
    assert torch.equal(found, wanted)
    model.train()
    model(X.double()).sum().backward()


@each_method
def test_results_do_not_depend_on_the_batch_size_or_on_other_rows(model, X, explain):
    more = torch.linspace(1, 2, 5, dtype=torch.float64).unsqueeze(1)
    wanted = explain(model, X, args=(more,), batch_size=1000)
    for batch_size in (1, 2, 7, 20):
        model.most = 0
        found = explain(model, X, args=(more,), batch_size=batch_size)
        assert model.most <= batch_size
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-14)
    turned = explain(model, X.flip(0), args=(more.flip(0),))
    torch.testing.assert_close(turned.flip(0), wanted, rtol=0, atol=1e-14)


@each_method
@pytest.mark.parametrize("name", TARGETS)
def test_each_kind_of_target_is_explained_like_a_model_of_its_own(model, X, explain, name):
    target, read = TARGETS[name]
    alone = explain(Reading(model, read), X)
    torch.testing.assert_close(explain(model, X, target=target), alone, rtol=1e-9, atol=1e-12)


@each_method
def test_several_targets_equal_each_on_its_own(model, X, explain):
    targets = [0, Contrast(2, 1), log_odds, torch.tensor([0, 1, 2, 1, 0])]
    found = explain(model, X, target=targets, batch_size=7)
    assert found.shape == (5, 4, 4, LENGTH)
    for k, target in enumerate(targets):
        torch.testing.assert_close(found[:, k], explain(model, X, target=target), rtol=1e-9, atol=1e-12)
    assert explain(model, X, target=[1]).shape == (5, 1, 4, LENGTH)


@each_method
def test_models_that_return_several_tensors_take_a_function_as_target(model, X, explain):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, X):
            return {"y": self.model(X), "none": None}

    found = explain(Both(), X, target=lambda out: out["y"][:, 1])
    torch.testing.assert_close(found, explain(model, X, target=1), rtol=1e-9, atol=1e-12)
    with pytest.raises(sl.UnsupportedOperation, match="returns a dict"):
        explain(Both(), X, target=1)


@each_method
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": 3}, "target is 3 and the model has 3 outputs"),
        ({"target": 1.5}, "target is 1.5"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"args": torch.ones(5, 1)}, "args is a Tensor"),
        ({"args": (torch.ones(4, 1),)}, "5 rows: expected a row for each"),
        ({"dtype": "float7"}, "dtype is 'float7'"),
        ({"device": "nowhere"}, "device is 'nowhere'"),
    ],
)
def test_unusable_arguments_raise(model, X, explain, change, message):
    with pytest.raises(sl.InputError, match=message):
        explain(model, X, **change)


@each_method
def test_inputs_that_cannot_be_used_are_named(model, X, explain):
    with pytest.raises(sl.InputError, match=r"expected a torch\.nn\.Module"):
        explain(lambda x: x, X)
    with pytest.raises(sl.InputError, match="expected three dimensions"):
        explain(model, X[0])
    with pytest.raises(sl.InputError, match="one-hot"):
        explain(model, X.double() * 0.5)


# Models whose attributions are known.


def linear(weights):
    model = nn.Sequential(nn.Flatten(), nn.Linear(weights.numel(), 1)).double()
    model[1].weight.data.copy_(weights.flatten())
    return model


@settings(deadline=None, max_examples=25)
@given(
    letters=st.integers(2, 6), length=st.integers(1, 9), rows=st.integers(1, 4), batch_size=st.integers(1, 40),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_all_methods_agree_on_a_linear_model(letters, length, rows, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(letters, length, generator=generator, dtype=torch.float64)
    codes = torch.randint(0, letters + 1, (rows, length), generator=generator)
    X = nn.functional.one_hot(codes, letters + 1)[:, :, :letters].transpose(1, 2)
    uniform = torch.full((rows, 1, letters, length), 1 / letters, dtype=torch.float64)
    wanted = (w - w.mean(dim=0)).expand(rows, -1, -1)
    model, more = linear(w), {"batch_size": batch_size}
    torch.testing.assert_close(mutated(model, X, **more), wanted, rtol=0, atol=1e-13)
    torch.testing.assert_close(differentiated(model, X, **more), wanted, rtol=0, atol=1e-13)
    # Captum keeps its weights in float32.
    torch.testing.assert_close(integrated(model, X, references=uniform, **more), wanted, rtol=0, atol=1e-6)
    engine = deep_lift_shap(model, X, references=uniform, hypothetical=True, device="cpu", **more)
    torch.testing.assert_close(engine, wanted, rtol=0, atol=1e-13)
    here = saturation_mutagenesis(model, X, device="cpu", **more)
    torch.testing.assert_close(here, wanted * X, rtol=0, atol=1e-13)


@each_method
def test_results_are_float32_unless_computed_in_float64(model, X, explain):
    assert explain(model, X).dtype == torch.float64
    assert explain(model, X, dtype="float32").dtype == torch.float32
    assert explain(model, X, dtype="bfloat16").dtype in (torch.float32, torch.float64)
    assert explain(model.float(), X).dtype == torch.float32
    assert explain(model, X, dtype=torch.float64).dtype == torch.float64


@each_method
def test_half_precision_is_close_to_full(X, explain):
    model = Model()
    wanted = explain(model, X)
    found = explain(model.bfloat16(), X)
    assert found.dtype == torch.float32
    assert (found - wanted).abs().max() < 0.1 * wanted.abs().max()


@each_method
def test_a_common_model_causes_no_warning(model, X, explain):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(model, X)
