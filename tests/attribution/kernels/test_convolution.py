"""Our convolutions are PyTorch's, in value and in gradient, for all that these take; the bits are those of each row."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

import seqlight as sl
from multipliers import needs_wide_registers
from seqlight.attribution.kernels import convolution
from seqlight.attribution.kernels.convolution import Algorithm
from seqlight.native import threads

# Of float32 against float64, over the sum of the products' sizes.
ROUNDING = 2**-20


def ours(monkeypatch, way):
    """Let whatever can be convolved here be convolved in this way, and return how often it was."""
    met = []
    convolved = convolution._convolve
    monkeypatch.setattr(convolution, "_algorithm", lambda *_: way)
    monkeypatch.setattr(convolution, "_convolve", lambda *args, **more: met.append(1) or convolved(*args, **more))
    return met


@st.composite
def cases(draw):
    channels, outputs, taps = draw(st.integers(1, 9)), draw(st.integers(1, 19)), draw(st.integers(1, 13))
    way = draw(st.sampled_from(Algorithm))
    dilation = draw(st.sampled_from([1, 2, 3, 4, 8, 15, 16, 17, 100, 384, 500]))
    padding = draw(st.one_of(st.sampled_from(["same", "valid"]), st.integers(0, 9), st.just(dilation)))
    reach = dilation * (taps - 1)
    least = 1 if padding == "same" else max(1, 1 + reach - 2 * (0 if padding == "valid" else padding))
    length = least + draw(st.one_of(st.integers(0, 60), st.integers(300, 900)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(draw(st.integers(1, 3)), channels, length, generator=generator)
    weight = torch.randn(outputs, channels, taps, generator=generator)
    bias = torch.randn(outputs, generator=generator) if draw(st.booleans()) else None
    if draw(st.booleans()):  # not contiguous
        x, weight = x.mT.contiguous().mT, weight.mT.contiguous().mT
    return x, weight, bias, padding, dilation, way


def value_and_gradient(function, x, weight, bias, **settings):
    x = x.clone().requires_grad_()
    y = function(x, weight, bias, **settings)
    grad = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).view(y.shape).to(y.dtype)
    return y.detach(), torch.autograd.grad(y, x, grad)[0]


def is_pytorchs(two, way, x, weight, bias, **settings):
    """Assert that ours, of one or `two` dimensions, is convolved in this way, and is that of float64."""
    function, exact = (convolution.conv2d, F.conv2d) if two else (convolution.conv1d, F.conv1d)
    with pytest.MonkeyPatch.context() as patch:
        met = ours(patch, way)
        found = value_and_gradient(function, x, weight, bias, **settings)
    assert len(met) == 2
    in_double = (one if one is None else one.double() for one in (x, weight, bias))
    expected = value_and_gradient(exact, *in_double, **settings)
    for value, wanted in zip(found, expected, strict=True):
        assert value.shape == wanted.shape
        size = weight.abs().double().sum() * max(1, float(x.abs().max())) + 1
        assert float((value - wanted).abs().max()) <= ROUNDING * float(size)


@needs_wide_registers
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@given(cases(), st.booleans())
def test_values_and_gradients(case, two):
    """Against float64, as images one row high too."""
    x, weight, bias, padding, dilation, way = case
    settings = {"padding": padding, "dilation": dilation}
    if two:
        x, weight = x[:, :, None], weight[:, :, None]
        settings = {"padding": padding if isinstance(padding, str) else (0, padding), "dilation": (1, dilation)}
    is_pytorchs(two, way, x, weight, bias, **settings)


@st.composite
def cases_in_steps(draw):
    channels, outputs, taps, stride = (draw(st.integers(1, most)) for most in (6, 19, 20, 12))
    padding = draw(st.integers(0, 9))
    length = max(1, taps - 2 * padding) + draw(st.one_of(st.integers(0, 30), st.integers(200, 400)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(draw(st.integers(1, 3)), channels, length, generator=generator)
    weight = torch.randn(outputs, channels, taps, generator=generator)
    return x, weight, torch.randn(outputs, generator=generator) if draw(st.booleans()) else None, padding, stride


@needs_wide_registers
@given(cases_in_steps(), st.booleans())
def test_strided_convolutions(case, two):
    """Against float64, as images one row high too."""
    x, weight, bias, padding, stride = case
    settings = {"padding": padding, "stride": stride}
    if two:
        x, weight = x[:, :, None], weight[:, :, None]
        settings = {"padding": (0, padding), "stride": (1, stride)}
    is_pytorchs(two, Algorithm.DIRECT, x, weight, bias, **settings)


@needs_wide_registers
@pytest.mark.parametrize("way", Algorithm)
@pytest.mark.parametrize("dilation", [1, 3, 4, 20])
@pytest.mark.parametrize(("channels", "outputs", "taps"), [(4, 64, 7), (64, 64, 3), (130, 4, 7)])
def test_bits_depend_neither_on_the_batch_nor_on_threads(monkeypatch, channels, outputs, taps, dilation, way):
    ours(monkeypatch, way)
    monkeypatch.setattr(threads, "WORTH_A_TEAM", 1)
    x, weight = torch.randn(5, channels, 700), torch.randn(outputs, channels, taps)
    found, before = [], torch.get_num_threads()
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            found.append(value_and_gradient(convolution.conv1d, x, weight, None, dilation=dilation)[0])
    finally:
        torch.set_num_threads(before)
    alone = [convolution.conv1d(row[None], weight, dilation=dilation) for row in x]
    assert all(torch.equal(one, found[0]) for one in [*found, torch.cat(alone)])


@needs_wide_registers
@pytest.mark.parametrize(("way", "before", "behind"), [(Algorithm.DIRECT, 0, 0), (Algorithm.FAST, 6, 3)])
def test_nan_stays_within_its_reach(monkeypatch, way, before, behind):
    """Or at the positions of all fours that read it."""
    ours(monkeypatch, way)
    x = torch.zeros(2, 4, 50)
    x[0, 0, 22] = float("nan")
    found = convolution.conv1d(x, torch.ones(3, 4, 5))
    where = found.isnan().nonzero()[:, 2].unique()
    assert where.min() >= 18 - before
    assert where.max() <= 22 + behind
    assert set(range(18, 23)) <= set(where.tolist())
    assert not found[1].isnan().any()


@needs_wide_registers
@pytest.mark.parametrize(("way", "most"), [(Algorithm.DIRECT, 4e-7), (Algorithm.FAST, 8e-7)])
def test_rounding(monkeypatch, way, most):
    """Root mean square over that of the result, for as many products as Beluga sums up."""
    ours(monkeypatch, way)
    torch.manual_seed(0)
    x, weight = torch.randn(2, 320, 200), torch.randn(64, 320, 8)
    found, exact = convolution.conv1d(x, weight), F.conv1d(x.double(), weight.double())
    assert (found - exact).square().mean().sqrt() <= most * exact.square().mean().sqrt()


# Channels, outputs, taps, dilation and width, and the way that was measured to be the quickest.
QUICKEST = {
    "Beluga's": ((320, 480, 8, 1, 496), Algorithm.FAST),
    "Basset's second": ((300, 200, 11, 1, 200), Algorithm.FAST),
    "64 filters": ((64, 64, 8, 1, 100), Algorithm.FAST),
    "64 filters, three taps": ((64, 64, 3, 1, 1000), Algorithm.FAST),
    "64 filters, one tap": ((64, 64, 1, 1, 1000), None),
    "16 filters": ((16, 16, 8, 1, 1000), Algorithm.FAST),
    "8 filters": ((8, 8, 5, 2, 1000), Algorithm.DIRECT),
    "Basset's first": ((4, 300, 19, 1, 600), Algorithm.FAST),
    "BPNet's first": ((4, 64, 21, 1, 2114), Algorithm.FAST),
    "a first one of few taps": ((4, 64, 5, 1, 1000), Algorithm.DIRECT),
    "few on both sides": ((4, 8, 21, 1, 1000), Algorithm.DIRECT),
    "BPNet's others": ((64, 64, 3, 256, 2114), Algorithm.FAST),
    "three taps, most of them outside": ((64, 64, 3, 1024, 2114), None),
    "many channels with gaps": ((256, 256, 7, 2, 1000), Algorithm.FAST),
    "many channels, wide gaps": ((256, 256, 7, 64, 1000), None),
    "many channels, five taps": ((256, 256, 5, 1, 1000), Algorithm.FAST),
}


@needs_wide_registers
@pytest.mark.parametrize("name", QUICKEST)
def test_the_fastest_algorithm(name):
    sizes, way = QUICKEST[name]
    assert convolution._algorithm(*sizes) is way


ELSEWHERE = {
    "float64": ((1, 4, 30), (2, 4, 3), {}, torch.float64),
    "strides of many channels": ((1, 9, 30), (2, 9, 3), {"stride": 2}, torch.float32),
    "groups": ((1, 4, 30), (2, 2, 3), {"groups": 2}, torch.float32),
    "one sequence": ((4, 30), (2, 4, 3), {}, torch.float32),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_settings_are_left_to_pytorch(monkeypatch, name):
    met = ours(monkeypatch, Algorithm.DIRECT)
    x_shape, w_shape, settings, dtype = ELSEWHERE[name]
    x, weight = torch.randn(x_shape, dtype=dtype), torch.randn(w_shape, dtype=dtype)
    found = value_and_gradient(convolution.conv1d, x, weight, None, **settings)
    expected = value_and_gradient(F.conv1d, x, weight, None, **settings)
    assert all(torch.equal(*both) for both in zip(found, expected, strict=True))
    assert not met


def test_images_weights_with_a_gradient_and_autocast_are_left_to_pytorch(monkeypatch):
    met = ours(monkeypatch, Algorithm.DIRECT)
    image, square = torch.randn(1, 4, 9, 9), torch.randn(2, 4, 3, 3)
    assert torch.equal(convolution.conv2d(image, square), F.conv2d(image, square))
    weight = torch.randn(2, 4, 3).requires_grad_()
    convolution.conv1d(torch.randn(1, 4, 9), weight).sum().backward()
    assert weight.grad is not None
    with torch.autocast("cpu", torch.bfloat16):
        assert convolution.conv1d(torch.randn(1, 4, 9), weight.detach()).dtype == torch.bfloat16
    assert not met


REFUSED = {
    "channels": ((1, 5, 9), {}),
    "bias": ((1, 4, 9), {"bias": torch.zeros(3)}),
    "padding of two dimensions": ((1, 4, 9), {"padding": (1, 2)}),
    "stride of two dimensions": ((1, 4, 9), {"stride": (1, 1)}),
    "padding by name": ((1, 4, 9), {"padding": "symmetric"}),
    "too short": ((1, 4, 2), {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_errors_are_pytorchs(name):
    shape, settings = REFUSED[name]
    with pytest.raises(RuntimeError) as theirs:
        F.conv1d(torch.randn(shape), torch.randn(2, 4, 3), **settings)
    with pytest.raises(RuntimeError) as ours:
        convolution.conv1d(torch.randn(shape), torch.randn(2, 4, 3), **settings)
    assert str(ours.value) == str(theirs.value)


@needs_wide_registers
@pytest.mark.parametrize("way", Algorithm)
def test_the_engine_uses_the_kernel(monkeypatch, way):
    """In all three passes and the check of the rows, with the attributions of PyTorch's own."""
    torch.manual_seed(0)
    layers = torch.nn.Conv1d(4, 16, 9), torch.nn.ReLU(), torch.nn.Conv1d(16, 8, 5), torch.nn.ReLU()
    model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8 * 88, 1))
    X = sl.random_one_hot((2, 4, 100), random_state=0).float()
    settings = {"n_shuffles": 3, "device": "cpu", "random_state": 0}
    met = ours(monkeypatch, way)
    found = sl.deep_lift_shap(model, X, **settings)
    assert len(met) == 8
    monkeypatch.setattr(convolution, "_algorithm", lambda *_: None)
    torch.testing.assert_close(found, sl.deep_lift_shap(model, X, **settings), rtol=1e-4, atol=1e-6)
    assert len(met) == 8


@needs_wide_registers
def test_references_that_are_mutants_are_convolved_by_pytorch(monkeypatch):
    """Where nothing differs nothing rounds otherwise: a secant over rounding would be noise."""
    torch.manual_seed(0)
    layers = torch.nn.Conv1d(4, 64, 21), torch.nn.ReLU(), torch.nn.Conv1d(64, 64, 3), torch.nn.Softplus()
    more = torch.nn.Conv1d(64, 64, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(64 * 76, 1)
    model = torch.nn.Sequential(*layers, *more)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 6
    X = sl.random_one_hot((1, 4, 100), random_state=0).float()
    mutant = X.clone()
    mutant[0, :, 50] = X[0, :, 50].roll(1)
    settings = {"references": mutant[:, None], "hypothetical": True, "device": "cpu"}
    met = ours(monkeypatch, Algorithm.FAST)
    found, exact = (sl.deep_lift_shap(model, X, dtype=dtype, **settings) for dtype in (None, "float64"))
    assert not met
    assert float((found - exact).abs().max()) <= 1e-5 * float(exact.abs().max())


def test_without_loops_pytorch_convolves(monkeypatch):
    monkeypatch.setattr(convolution, "library", lambda: None)
    x, weight = torch.randn(2, 4, 30), torch.randn(8, 4, 3)
    assert torch.equal(convolution.conv1d(x, weight), F.conv1d(x, weight))
