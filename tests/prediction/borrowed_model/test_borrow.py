"""A borrowed model is restored exactly."""

import copy
import functools
import random

import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.prediction.borrowed_model import borrow as borrowed_model
from seqlight.prediction.borrowed_model.borrow import borrow, floating_dtype

CPU = torch.device("cpu")


class Counting(nn.Module):
    """Writes into one buffer, replaces another and registers a third, also in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("last", None)
        self.register_buffer("mean", torch.zeros(3), persistent=False)

    def forward(self, X):
        self.calls += 1
        self.mean = X.mean(dim=0)
        self.register_buffer("cache", X.clone())
        return X


class Model(nn.Module):
    """Tied weights, a shared buffer, batch normalisation, dropout, and a frozen part in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.tied = nn.Linear(3, 3)
        self.tied.weight = self.first.weight
        self.norm = nn.BatchNorm1d(3)
        self.other_norm = nn.BatchNorm1d(3)
        self.other_norm.running_mean = self.norm.running_mean
        self.counting = Counting()
        self.drop = nn.Dropout(0.5)

    def forward(self, X):
        return self.drop(self.counting(self.other_norm(self.norm(self.tied(self.first(X))))))


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Model()
    model.norm.eval()
    model.tied.bias.requires_grad_(False)
    model(torch.randn(5, 3)).sum().backward()
    model.first.register_forward_hook(lambda *_: None)
    model.norm.register_full_backward_hook(lambda *_: None)
    return model


def state_of(model):
    """Return everything that could change: values, identity, devices, flags, gradients, hooks."""
    return {
        "values": {name: value.clone() for name, value in model.state_dict().items()},
        "parameters": [
            (name, id(p), p.data_ptr(), p.dtype, p.device, p.requires_grad, p.grad is None, id(p.grad))
            for name, p in model.named_parameters(remove_duplicate=False)
        ],
        "buffers": [
            (name, id(module), key, id(value))
            for name, module in model.named_modules()
            for key, value in module._buffers.items()
        ],
        "training": [(name, module.training) for name, module in model.named_modules()],
        "hooks": [
            (name, list(module._forward_hooks), list(module._backward_hooks), list(module._forward_pre_hooks))
            for name, module in model.named_modules()
        ],
        "attributes": [(name, sorted(vars(module))) for name, module in model.named_modules()],
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.get_rng_state().tolist(),
        "grad_mode": (torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")),
    }


def assert_same(model, before):
    after = state_of(model)
    values, old = after.pop("values"), before.pop("values")
    assert list(values) == list(old)
    for name, value in values.items():
        assert torch.equal(value, old[name]), name
    assert after == before


def draw_everywhere():
    random.random()
    np.random.rand()
    torch.rand(1)


@pytest.mark.parametrize("dtype", [None, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_restored(model, dtype, fails):
    before = state_of(model)

    def work():
        with borrow(model, CPU, dtype) as lent, torch.no_grad():
            assert lent is model
            assert not any(module.training for module in model.modules())
            assert not any(parameter.requires_grad for parameter in model.parameters())
            assert {p.dtype for p in model.parameters()} == {dtype or torch.float32}
            assert model.norm.num_batches_tracked.dtype == torch.int64
            assert model.other_norm.running_mean is model.norm.running_mean
            assert model.tied.weight is model.first.weight
            model(torch.randn(4, 3, dtype=dtype or torch.float32))
            assert model.counting.calls.item() == 2
            draw_everywhere()
            if fails:
                raise KeyboardInterrupt

    if fails:
        with pytest.raises(KeyboardInterrupt):
            work()
    else:
        work()
    assert_same(model, before)


def test_everything_is_restored_after_an_error_while_lending(model, monkeypatch):
    before = state_of(model)
    moved = []

    def failing(self, *args, **kwargs):
        moved.append(self)
        if len(moved) == 4:
            raise MemoryError("no room on the device")
        return original(self, *args, **kwargs)

    original = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", failing)
    with pytest.raises(MemoryError), borrow(model, CPU, torch.float64):
        pass
    monkeypatch.undo()
    assert_same(model, before)


def test_buffers_registered_by_a_forward_are_removed():
    class Leaving(nn.Linear):
        def forward(self, X):
            self.register_buffer("seen", X.clone())
            return super().forward(X)

    model = Leaving(3, 3)
    with borrow(model, CPU), torch.no_grad():
        model(torch.randn(4, 3))
        assert "seen" in model._buffers
    assert not model._buffers


def test_sparse_parameters_and_those_before_them_are_restored():
    model = nn.Linear(4, 4)
    model.sparse = nn.Parameter(torch.eye(4).to_sparse())
    with borrow(model, CPU):
        assert not any(one.requires_grad for one in model.parameters())
    assert all(one.requires_grad for one in model.parameters())
    assert torch.equal(model.sparse.to_dense(), torch.eye(4))


def test_an_earlier_graph_still_works(model):
    X = torch.randn(4, 3)
    model.eval().zero_grad()
    torch.manual_seed(1)
    model(X).sum().backward()
    expected = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    model.counting._buffers.pop("cache")
    loss = model(X).sum()
    with borrow(model, CPU, torch.float64), torch.no_grad():
        model(X.double())
    loss.backward()
    found = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(found) == len(expected) > 0
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_training_continues_as_without_a_loan():
    def trained(interrupted):
        torch.manual_seed(0)
        model = Model()
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(8, 3)).square().sum().backward()
            optimizer.step()
            if interrupted:
                with borrow(model, CPU, torch.float64), torch.no_grad():
                    model(torch.randn(5, 3, dtype=torch.float64))
        return model.state_dict()

    one, other = trained(False), trained(True)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_nested_loans(model):
    before = state_of(model)
    with borrow(model, CPU), borrow(model, CPU, torch.float64), torch.no_grad():
        model(torch.randn(4, 3, dtype=torch.float64))
    assert_same(model, before)


@pytest.mark.parametrize("room", range(10))
def test_everything_is_restored_if_a_device_has_too_little_memory(model, monkeypatch, room):
    def into_little_room(tensor, device, dtype):
        nonlocal room
        room -= 1
        if room < 0:
            raise RuntimeError("out of memory")
        return tensor.to(dtype)

    monkeypatch.setattr(borrowed_model, "_converted", into_little_room)
    before = state_of(model)
    with pytest.raises(RuntimeError, match="out of memory"), borrow(model, CPU, torch.float64):
        pass
    assert_same(model, before)


def test_the_dtype_of_a_model():
    X = torch.zeros(2, dtype=torch.int8)
    assert floating_dtype(nn.Linear(3, 3).double(), X) == torch.float64
    assert floating_dtype(Counting().half(), X) == torch.float16
    assert floating_dtype(nn.Identity(), X) == torch.float32
    assert floating_dtype(nn.Identity(), X.bfloat16()) == torch.bfloat16


def test_a_model_built_in_inference_mode():
    """Its parameters cannot be frozen, and need not be: results are those of its twin."""
    torch.manual_seed(0)
    twin = torch.nn.Sequential(
        torch.nn.Conv1d(4, 3, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(48, 2), torch.nn.Sigmoid()
    ).double()
    with torch.inference_mode():
        model = copy.deepcopy(twin)
    assert all(parameter.is_inference() for parameter in model.parameters())
    X = sl.random_one_hot((3, 4, 20), random_state=0)
    for call in (sl.predict, functools.partial(sl.deep_lift_shap, random_state=0, n_shuffles=4)):
        torch.testing.assert_close(call(model, X), call(twin, X), rtol=0, atol=1e-12)
    assert all(parameter.requires_grad for parameter in model.parameters())


class Recurrent(nn.Module):
    """Gates and attention, whose backward passes save their weights."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.attention = nn.LSTM(4, 6, batch_first=True), nn.MultiheadAttention(6, 2, batch_first=True)
        self.norm, self.head = nn.BatchNorm1d(6), nn.Linear(6, 1)

    def forward(self, X):
        y = self.lstm(X.mT)[0]
        return self.head(self.norm((y + self.attention(y, y, y)[0]).mT).mean(-1))


@pytest.mark.parametrize(
    "call",
    [
        lambda model, X: sl.deep_lift_shap(model, X, random_state=0, n_shuffles=2),
        lambda model, X: sl.attribute(model, X, layers=True, random_state=0, n_shuffles=2).layer_totals,
        lambda model, X: sl.LayerDeepLift(model, model.norm).attribute(X.double(), X.double().roll(1, -1)),
        lambda model, X: sl.input_x_gradient(model, X).attributions,
    ],
    ids=["deep_lift_shap", "layers", "LayerDeepLift", "input_x_gradient"],
)
def test_weights_made_in_inference_mode_that_autograd_would_save(call):
    twin = Recurrent().double()
    with torch.inference_mode():
        model = copy.deepcopy(twin)
    before = dict(model.named_parameters())
    X = sl.random_one_hot((3, 4, 20), random_state=0)
    torch.testing.assert_close(call(model, X), call(twin, X), rtol=0, atol=1e-12)
    assert all(one is before[name] for name, one in model.named_parameters())


@pytest.mark.parametrize("dtype", [None, torch.float64, torch.bfloat16])
def test_hooks_on_gradient_accumulators_are_kept(dtype):
    """Such as those of DistributedDataParallel, which keep its processes in step."""
    model, called = nn.LSTM(3, 2), []
    sums = {name: p.expand_as(p).grad_fn.next_functions[0][0] for name, p in model.named_parameters()}
    for name, one in sums.items():
        one.register_hook(lambda *_, name=name: called.append(name))
    with borrow(model, CPU, dtype):
        assert model(torch.zeros(1, 1, 3, dtype=dtype))[0].dtype == (dtype or torch.float32)
    assert not called
    model(torch.zeros(1, 1, 3))[0].sum().backward()
    assert sorted(called) == sorted(sums)
