"""Linear layers are PyTorch's, in value and in gradient; the bits are those of each row."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from multipliers import needs_wide_registers
from seqlight.attribution.kernels import linear
from seqlight.native import threads


def value_and_gradient(function, x, weight, bias):
    x = x.clone().requires_grad_()
    y = function(x, weight, bias)
    grad = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).view(y.shape).to(y.dtype)
    return y.detach(), torch.autograd.grad(y, x, grad)[0]


def counted(monkeypatch):
    met, mapped = [], linear._multiply
    monkeypatch.setattr(linear, "_multiply", lambda *args, **more: met.append(1) or mapped(*args, **more))
    return met


@st.composite
def cases(draw):
    channels, outputs = draw(st.integers(16, 200)), draw(st.integers(16, 200))
    shape = draw(st.sampled_from([(1, 1), (2, 5), (3, 1, 7), (1, 64), (5, 131)]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(*shape, channels, generator=generator)
    weight = torch.randn(outputs, channels, generator=generator)
    bias = torch.randn(outputs, generator=generator) if draw(st.booleans()) else None
    if draw(st.booleans()):  # not contiguous
        x, weight = x.mT.contiguous().mT, weight.mT.contiguous().mT
    return x, weight, bias


@needs_wide_registers
@given(cases())
def test_values_and_gradients(case):
    x, weight, bias = case
    with pytest.MonkeyPatch.context() as patch:
        met = counted(patch)
        found = value_and_gradient(linear.linear, x, weight, bias)
    assert len(met) == 2
    expected = value_and_gradient(F.linear, *(one if one is None else one.double() for one in case))
    for value, wanted in zip(found, expected, strict=True):
        assert value.shape == wanted.shape
        assert float((value - wanted).abs().max()) <= 2**-20 * float(weight.abs().double().sum(1).max() * x.abs().max())


@needs_wide_registers
@pytest.mark.parametrize(("channels", "outputs"), [(64, 192), (130, 17), (1000, 70), (16, 1024)])
def test_bits_depend_neither_on_the_batch_nor_on_threads(monkeypatch, channels, outputs):
    monkeypatch.setattr(threads, "WORTH_A_TEAM", 1)
    x, weight, bias = torch.randn(5, 31, channels), torch.randn(outputs, channels), torch.randn(outputs)
    found, before = [], torch.get_num_threads()
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            found.append(linear.linear(x, weight, bias))
    finally:
        torch.set_num_threads(before)
    alone = torch.stack([torch.cat([linear.linear(one[None, None], weight, bias)[0] for one in row]) for row in x])
    assert all(torch.equal(one, found[0]) for one in (*found, alone))


@needs_wide_registers
def test_it_rounds_no_more_than_pytorch():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(8, 50, 512), torch.randn(256, 512), torch.randn(256)
    wanted = F.linear(x.double(), weight.double(), bias.double())
    ours, theirs = ((f(x, weight, bias) - wanted).square().mean() for f in (linear.linear, F.linear))
    assert ours < 1.1 * theirs


ELSEWHERE = {
    "no positions": ((5, 64), (32, 64), torch.float32),
    "few channels": ((2, 5, 8), (32, 8), torch.float32),
    "few outputs": ((2, 5, 64), (4, 64), torch.float32),
    "many weights": ((1, 2, 1024), (512, 1024), torch.float32),
    "float64": ((2, 5, 64), (32, 64), torch.float64),
    "nothing": ((0, 5, 64), (32, 64), torch.float32),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_layers_are_left_to_pytorch(monkeypatch, name):
    met, (x_shape, w_shape, dtype) = counted(monkeypatch), ELSEWHERE[name]
    x, weight, bias = (torch.randn(shape, dtype=dtype) for shape in (x_shape, w_shape, w_shape[:1]))
    found, expected = (value_and_gradient(f, x, weight, bias) for f in (linear.linear, F.linear))
    assert all(torch.equal(*both) for both in zip(found, expected, strict=True))
    assert not met


def test_errors_are_pytorchs():
    x, weight = torch.randn(2, 5, 64), torch.randn(32, 63)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        linear.linear(x, weight)
    with pytest.raises(RuntimeError, match="size"):
        linear.linear(x, torch.randn(32, 64), torch.randn(31))


@needs_wide_registers
def test_a_gradient_has_a_derivative_of_its_own():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 5, 20), torch.randn(30, 20)
    found = []
    for function in (linear.linear, F.linear):
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(function(leaf, weight).square().sum(), leaf, create_graph=True)
        found.append(torch.autograd.grad(slope.cos().sum(), leaf)[0])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-2)


@needs_wide_registers
def test_the_engine_uses_the_kernel(monkeypatch):
    met = counted(monkeypatch)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 32, 5), nn.GELU(), nn.Flatten(2), Turned(), nn.Linear(32, 48), nn.ReLU(), Mean())
    X, settings = sl.random_one_hot((3, 4, 30), random_state=0), {"n_shuffles": 4, "random_state": 0, "device": "cpu"}
    found = sl.deep_lift_shap(model, X, batch_size=4, **settings)
    assert len(met) > 5
    expected = sl.deep_lift_shap(model, X, dtype="float64", **settings)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


class Turned(nn.Module):
    def forward(self, x):
        return x.mT


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((1, 2))[:, None]
