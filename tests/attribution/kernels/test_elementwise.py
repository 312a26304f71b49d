"""The compiled loops give the bits of PyTorch's own arithmetic, and None for what they do not take."""

import functools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlight.attribution.calls.pairs import repeated
from seqlight.attribution.kernels import elementwise as loops
from seqlight.attribution.rules import activations, elementwise, layer_norm, softmax
from seqlight.attribution.rules.activations import Activation
from seqlight.attribution.rules.elementwise import Rounding
from seqlight.native import threads as native_threads
from seqlight.native.library import library

pytestmark = pytest.mark.skipif(library() is None, reason="the loops are not compiled")

DTYPES = (torch.float32, torch.float64)


def pair(draw, shape, dimension, n, dtype, seed):
    """Inputs of sequences and of n references each, some of them equal, some infinite or no number."""
    generator = torch.Generator().manual_seed(seed)
    larger = list(shape)
    larger[dimension] *= n
    x1, x0 = (torch.randn(size, generator=generator, dtype=torch.float64).to(dtype) for size in (shape, larger))
    same = torch.rand(larger, generator=generator) < 0.2
    x0 = torch.where(same, repeated(x1, x0), x0)
    if draw(st.booleans()):
        x0.view(-1)[0] = draw(st.sampled_from([float("nan"), float("inf"), -0.0]))
    return x1, x0


@st.composite
def pairs(draw):
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    dimension = draw(st.integers(0, len(shape) - 1))
    settings = draw(st.integers(1, 5)), draw(st.sampled_from(DTYPES)), draw(st.integers(0, 2**31))
    return pair(draw, shape, dimension, *settings)


def without_loops(monkeypatch_context, function, *args):
    with monkeypatch_context as patch:
        patch.setattr(loops, "library", lambda: None)
        return function(*args)


@given(pairs(), st.sampled_from(Rounding), st.booleans())
def test_secants(both, rounding, nearly):
    x1, x0 = both
    if nearly:
        x0 = (repeated(x1, x0) * (1 + 1e-5 * torch.rand_like(x0))).contiguous()
    y1, y0, slope = torch.sin(x1), torch.sin(x0), torch.cos(x1)
    near, allowed = elementwise.least(x1.dtype), elementwise.allowance(x1.dtype, rounding)
    found = loops.secant(x1, y1, slope, x0, y0, near, allowed, by_input=rounding is Rounding.INPUT)
    secant = functools.partial(elementwise.secant, rounding=rounding)
    expected = without_loops(pytest.MonkeyPatch.context(), secant, x1, y1, slope, x0, y0)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@given(pairs())
def test_relus(both):
    x1, x0 = both
    grad = torch.cos(x0).nan_to_num()
    found = loops.relu_gradients(grad, x1, x0, elementwise.least(x1.dtype))
    slope = (x1 > 0).to(x1.dtype)
    arguments = x1, torch.relu(x1), slope, x0, torch.relu(x0)
    expected = grad * without_loops(pytest.MonkeyPatch.context(), elementwise.secant, *arguments)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [(3, 3, 0, 1), (4, 2, 2, 1), (3, 1, 1, 2)])
def test_pools(monkeypatch, settings, dtype, threads):
    """Against the definition, window by window."""
    monkeypatch.setattr(native_threads, "WORTH_A_TEAM", 1 if threads == 2 else 10**9)
    kernel, stride, padding, dilation = settings
    torch.manual_seed(0)
    x1, x0 = torch.randn(2, 3, 20, dtype=dtype), torch.randn(8, 3, 20, dtype=dtype)
    x0[0, 0] = x1[0, 0]
    y1, w1 = F.max_pool1d(x1, kernel, stride, padding, dilation, return_indices=True)
    y0, w0 = F.max_pool1d(x0, kernel, stride, padding, dilation, return_indices=True)
    winners, multiplier = loops.pool_credits((x1, y1, w1), (x0, y0, w0), 1, elementwise.least(dtype))
    grad = torch.randn_like(y0)
    gradient = loops.pool_gradients(grad, multiplier, winners, x0.shape, 1)
    expected = torch.zeros_like(x0)
    for row in range(8):
        for channel in range(3):
            for window in range(y0.shape[2]):
                a, b = y1[row % 2, channel, window], y0[row, channel, window]
                at = w1[row % 2, channel, window] if a >= b else w0[row, channel, window]
                dx = x1[row % 2, channel, at] - x0[row, channel, at]
                m = 1 if abs(dx) < elementwise.least(dtype) else (a - b) / dx
                assert multiplier[row, channel, window] == m
                assert winners[row, channel, window] == at
                expected[row, channel, at] += grad[row, channel, window] * m
    assert torch.equal(gradient, expected)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["random", "equal", "none"])
@pytest.mark.parametrize(
    "window", [(2, 2, 0, 1), (3, 3, 0, 1), (4, 4, 0, 1), (5, 5, 0, 1), (4, 2, 2, 1), (3, 1, 1, 2), (3, 3, 1, 1)]
)
def test_pools_that_find_their_maxima(monkeypatch, window, kind, dtype, threads):
    monkeypatch.setattr(native_threads, "WORTH_A_TEAM", 1 if threads == 2 else 10**9)
    torch.manual_seed(0)
    x1, x0 = torch.randn(2, 3, 20, dtype=dtype), torch.randn(8, 3, 20, dtype=dtype)
    if kind == "equal":
        x1, x0 = x1.round(), x0.round()
    if kind == "none":
        x0[1, 0, 3] = x0[1, 0, 4] = float("nan")
        x0[2, 1] = -float("inf")
    y1, w1 = F.max_pool1d(x1, *window, return_indices=True)
    wanted_y, w0 = F.max_pool1d(x0, *window, return_indices=True)
    near = elementwise.least(dtype)
    y0, winners, multiplier = loops.pools((x1, y1, w1), x0, window, near)
    wanted = loops.pool_credits((x1, y1, w1), (x0, wanted_y, w0), 1, near)
    torch.testing.assert_close(y0, wanted_y, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(winners, wanted[0])
    torch.testing.assert_close(multiplier, wanted[1], rtol=0, atol=0, equal_nan=True)


@given(pairs(), st.sampled_from([1.0, 30.0, 1e-3]))
def test_softmaxes(both, size):
    x1, x0 = (size * one.nan_to_num(0, 3, -3) for one in both)
    if x0.shape[-1] != x1.shape[-1]:
        return
    recorded, reference, dim = (x1, x1.softmax(-1)), (x0, x0.softmax(-1)), x0.ndim - 1
    found = softmax.softmax_multipliers(recorded, reference, dim)
    expected = without_loops(pytest.MonkeyPatch.context(), softmax.softmax_multipliers, recorded, reference, dim)
    if x0.dtype == torch.float64:
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
    # In float32 a small step is rounding noise, but what it is multiplied with is as small.
    dx = repeated(x1, x0) - x0
    rise = repeated(x1.logsumexp(-1, keepdim=True), x0[..., :1]) - x0.logsumexp(-1, keepdim=True)
    noise = 1e-4 * (1 + size) if x0.dtype == torch.float32 else 1e-9 * (1 + size)
    torch.testing.assert_close((found[0] * dx).sum(-1, keepdim=True), rise, rtol=1e-4, atol=noise)
    torch.testing.assert_close(
        found[1] * (dx - rise), repeated(x1.softmax(-1), x0) - x0.softmax(-1), rtol=1e-3, atol=noise
    )
    grad = torch.cos(x0)
    pulled = softmax.softmax_pull(grad, *found, dim)
    slowly = without_loops(pytest.MonkeyPatch.context(), softmax.softmax_pull, grad, *found, dim)
    torch.testing.assert_close(pulled, slowly)


@given(pairs(), st.sampled_from([1.0, 30.0, 1e-3]))
def test_attention_on_its_way_back(both, size):
    x1, x0 = (size * one.nan_to_num(0, 3, -3) for one in both)
    if x0.shape[-1] != x1.shape[-1]:
        return
    recorded, reference, dim = (x1, x1.softmax(-1)), (x0, x0.softmax(-1)), x0.ndim - 1
    at_weights = torch.cos(x0)
    at_scores = at_weights.clone()
    half = loops.attention_gradients(at_scores, recorded, reference, elementwise.threshold(x0.dtype))
    multipliers = softmax.softmax_multipliers(recorded, reference, dim)
    slowly = softmax.softmax_pull(at_weights, *multipliers, dim)
    torch.testing.assert_close(at_scores, slowly, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(half, (repeated(recorded[1], x0) + reference[1]) / 2)


@given(pairs(), st.booleans())
def test_standardisations(both, weighted):
    x1, x0 = (one.nan_to_num(0, 3, -3) for one in both)
    if x0.shape[-1] != x1.shape[-1]:
        return
    weight = torch.linspace(0.5, 2, x0.shape[-1], dtype=x0.dtype) if weighted else None
    recorded, reference = (
        (x, x.mean(-1, keepdim=True), (x.var(-1, unbiased=False, keepdim=True) + 1e-2).rsqrt()) for x in (x1, x0)
    )
    grad = torch.cos(x0)
    found = loops.standardised_gradients(grad, weight, recorded, reference)
    torch.testing.assert_close(found, layer_norm.gradients(grad, weight, recorded, reference), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(library() is None or not library().lanes(), reason="this machine has not the registers")
@given(pairs(), st.booleans())
def test_standardisations_with_and_without_wide_registers(both, weighted):
    x1, x0 = (one.nan_to_num(0, 3, -3).float().contiguous() for one in both)
    if x0.shape[-1] != x1.shape[-1]:
        return
    weight = torch.linspace(0.5, 2, x0.shape[-1]) if weighted else None
    recorded, reference = (loops.standardised(x, None, None, 1e-2) for x in (x1, x0))
    tensors = torch.cos(x0), weight, x1, *recorded[2:], x0, *reference[2:]
    found = []
    for name in ("standardised_gradients", "standardisation_gradients"):
        found.append(torch.full_like(x0, float("nan")))
        numbers = *loops._rows(x1, x0), x0.shape[-1], 4
        native_threads.run(name, (*tensors, found[-1]), numbers, reference[2].numel(), x0.numel())
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


@st.composite
def rows_to_standardise(draw):
    rows, width = draw(st.integers(1, 40)), draw(st.integers(1, 70))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = 3 * torch.randn(draw(st.integers(1, 3)), rows, width, generator=generator) + draw(st.sampled_from([0, 5]))
    how = draw(st.sampled_from(["in one piece", "across", "parts", "flat", "every other"]))
    if how == "across":
        x = x.mT.contiguous().mT
    elif how == "parts":
        x = torch.cat([x, x], 2)[:, :, :width]
    elif how == "flat":
        x = x.flatten(0, 1)
    elif how == "every other":
        x = torch.stack([x, x], 3)[..., 0]
    fixed = [torch.randn(width, generator=generator) if draw(st.booleans()) else None for _ in range(2)]
    return x, *fixed, draw(st.sampled_from([1e-5, 1e-2]))


@pytest.mark.skipif(library() is None or not library().lanes(), reason="this machine has not the registers")
@given(rows_to_standardise())
def test_layer_norms(case):
    x, weight, bias, eps = case
    kept, y, mean, rate = loops.standardised(*case)
    assert torch.equal(kept, x)
    assert all(one.is_contiguous() for one in (kept, y, mean, rate))
    weight, bias = (one if one is None else one.double() for one in (weight, bias))
    wanted = torch.native_layer_norm(x.double(), x.shape[-1:], weight, bias, eps)
    torch.testing.assert_close(mean.double(), wanted[1], rtol=1e-6, atol=1e-6)
    # Where the numbers of a row hardly differ, so do their rounded differences from their mean.
    lost = 2**-21 * (1 + x.abs().amax(2 if x.ndim == 3 else 1, keepdim=True) * rate)
    assert ((rate - wanted[2]).abs() <= lost * rate).all()
    size = 1 if weight is None else weight.abs()
    assert ((y - wanted[0]).abs() <= lost * size * (1 + y.abs()) + 2**-21 * (1 + y.abs())).all()
    alone = [loops.standardised(row[None], *case[1:])[1] for row in x]
    assert torch.equal(torch.cat(alone), y)


@pytest.mark.skipif(library() is None or not library().lanes(), reason="this machine has not the registers")
def test_layer_norms_of_what_is_no_number():
    x = torch.randn(2, 3, 20)
    x[0, 1, 4], x[1, 2, 0] = float("nan"), float("inf")
    found = loops.standardised(x, None, None, 1e-5)[1]
    assert found.isnan().all(2).tolist() == [[False, True, False], [False, False, True]]
    assert found.isnan().any(2).tolist() == [[False, True, False], [False, False, True]]
    assert loops.standardised(x[:0], None, None, 1e-5) is None
    assert loops.standardised(x.double(), None, None, 1e-5) is None


FUNCTIONS = {
    Activation.GELU: F.gelu,
    Activation.GELU_TANH: lambda x: F.gelu(x, approximate="tanh"),
    Activation.SILU: F.silu,
    Activation.SIGMOID: torch.sigmoid,
}
with_lanes = pytest.mark.skipif(library() is None or not library().lanes(), reason="this machine has not the registers")


@with_lanes
@pytest.mark.parametrize("kind", Activation)
def test_activation_functions(kind):
    """As near to the truth as those of PyTorch, or as rounding of a few units in the last place leaves them."""
    x = torch.cat([torch.linspace(-30, 30, 200_001), torch.logspace(-30, 30, 1_001), -torch.logspace(-30, 30, 1_001)])
    leaf = x.double().requires_grad_()
    wanted = FUNCTIONS[kind](leaf)
    (slope,) = torch.autograd.grad(wanted.sum(), leaf)
    found, sloped = activations.activation(x, kind)
    of_theirs = (FUNCTIONS[kind](x) - wanted).abs().max()
    assert (found - wanted).abs().max() <= max(of_theirs, 6e-7)
    assert (sloped - slope).abs().max() < 3e-6
    assert torch.equal(activations.activation(x, kind, sloped=False)[0], found)


@with_lanes
@pytest.mark.parametrize("kind", Activation)
def test_activation_functions_of_what_is_no_number(kind):
    x = torch.tensor([float("nan"), float("inf"), 0.0, -0.0, 3e38, -3e38])
    (found, slope), wanted = activations.activation(x, kind), FUNCTIONS[kind](x.double()).float()
    torch.testing.assert_close(found, wanted, equal_nan=True)
    assert slope[1:].isfinite()[1:].all()
    assert activations.activation(torch.tensor([-float("inf")]), kind)[0].nan_to_num(0) == 0


@with_lanes
@given(pairs(), st.sampled_from(list(Activation)), st.sampled_from([1.0, 10.0, 1e-3]))
def test_activations_on_their_way_back(both, kind, size):
    x1, x0 = (size * one.float().contiguous() for one in both)
    recorded, grad = (x1, *activations.activation(x1, kind)), torch.cos(x0).nan_to_num()
    rounding = Rounding.INPUT if "GELU" in kind.name else Rounding.OUTPUT
    near, allowed = elementwise.least(torch.float32), elementwise.allowance(torch.float32, rounding)
    found = activations.activation_gradients(grad, recorded, x0, kind, near, allowed)
    y0 = activations.activation(x0, kind, sloped=False)[0]
    secant = functools.partial(elementwise.secant, rounding=rounding)
    expected = grad * without_loops(pytest.MonkeyPatch.context(), secant, *recorded, x0, y0)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0, equal_nan=True)


def test_what_the_loops_do_not_take():
    x = torch.randn(2, 3, 4)
    assert loops.relu_gradients(x.half(), x.half(), x.half(), 1e-6) is None
    assert loops.relu_gradients(x, x.transpose(1, 2), x.transpose(1, 2), 1e-6) is None
    assert loops.relu_gradients(x.to("meta"), x.to("meta"), x.to("meta"), 1e-6) is None
    assert loops.relu_gradients(x[:0], x[:0], x[:0], 1e-6) is None
    assert loops.secant(x, x, x, x.double(), x.double(), 1e-6, 0) is None


def test_a_forked_process_has_threads_of_its_own():
    """Threads do not survive a fork; work in the child must not wait for them."""
    import os

    x = torch.randn(4, 100_000)
    torch.set_num_threads(max(2, torch.get_num_threads()))
    loops.relu_gradients(x, x, x, 1e-6)
    child = os.fork()
    if not child:
        import signal

        signal.alarm(20)
        os._exit(0 if loops.relu_gradients(x, x, x, 1e-6) is not None else 1)
    assert os.waitpid(child, 0)[1] == 0
