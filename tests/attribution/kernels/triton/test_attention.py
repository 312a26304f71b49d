"""Attention in Triton: that of float64 with all scores in memory, in value and in gradient."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from multipliers import plain_rules
from seqlight.attribution.kernels.attention import Operands, Settings
from seqlight.attribution.rules import attention
from seqlight.attribution.rules.logarithmic_mean import nearness
from triton_interpreter import interpreted_kernels, needs_interpreter

pytestmark = needs_interpreter
pytest.importorskip("triton")

from seqlight.attribution.kernels.triton import attention as kernel  # noqa: E402


def at_once(seen, operands, settings, grad):
    y, sums = kernel.attend(Operands(*operands), settings)
    near = nearness(grad.dtype)
    return y, *kernel.attention_vjp(grad, seen, Operands(*operands), sums, settings, near)


def in_double(sequences, references, settings, grad):
    exact = Settings(None if settings.bias is None else settings.bias.double(), settings.scale)
    with plain_rules():
        y1, seen = attention._observe_plainly(Operands(*(one.double() for one in sequences)), exact)
        y0, pull = attention._attend_plainly(seen, Operands(*(one.double() for one in references)), exact)
        return y1, y0, *pull(grad.double())


def laid_out(x, way):
    """The same numbers elsewhere in memory."""
    if way == "positions before heads":
        return x.transpose(-3, -2).contiguous().transpose(-3, -2)
    if way == "part of more":
        return torch.cat([x, x], -1)[..., : x.shape[-1]]
    return x.mT.contiguous().mT if way == "turned" else x


def check(outer, n, queries, keys, width, values, bias, way):
    """Compare a case with float64, where all scores are in memory."""
    generator = torch.Generator().manual_seed(0)

    def some(*shape):
        return torch.randn(shape, generator=generator)

    sequences = [some(*outer, *of) for of in ((queries, width), (keys, width), (keys, values))]
    references = [one.repeat(n, *[1] * (one.ndim - 1)) + some(n * outer[0], *one.shape[1:]) for one in sequences]
    if bias is not None:
        bias = some(*bias).masked_fill_(some(*bias) > 1, -torch.inf)
        bias[..., 0].clamp_(min=0)  # each sees something
    per_row = bias is not None and bias.ndim == 4 and len(bias) > 1
    for_sequences, of_references = Settings(bias, 0.3), Settings(bias.repeat(n, 1, 1, 1) if per_row else bias, 0.3)
    grad = some(n * outer[0], *outer[1:], queries, values)
    y1, seen = kernel.observe(Operands(*(laid_out(one, way) for one in sequences)), for_sequences)
    y0, *found = at_once(seen, [laid_out(one, way) for one in references], of_references, laid_out(grad, way))
    repeated = [one.repeat(n, *[1] * (one.ndim - 1)) for one in sequences]
    wanted1, wanted0, *expected = in_double(repeated, references, of_references, grad)
    torch.testing.assert_close(y1.double(), wanted1[: len(y1)], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(y0.double(), wanted0, rtol=1e-5, atol=1e-5)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        # Secants over steps of a few 1e-6 have few digits; with PyTorch's operations they have no more.
        assert float((one - other).abs().max()) <= 1e-2 * float(other.abs().max() + grad.abs().max())
    # But what they have too much or too little is too small to count.
    steps = [(one - other) * m for one, other, m in zip(repeated, references, found, strict=True)]
    rise = (y1.repeat(n, *[1] * (y1.ndim - 1)) - y0) * grad
    size = sum(float(one.abs().double().sum()) for one in (*steps, rise)) + 1
    assert abs(sum(float(one.double().sum()) for one in steps) - float(rise.double().sum())) <= 1e-5 * size


@pytest.mark.parametrize(
    ("outer", "n", "queries", "keys", "width", "values", "bias", "way"),
    [
        ((1,), 2, 1, 1, 1, 1, None, "as it is"),
        ((2,), 1, 5, 33, 3, 2, (5, 33), "turned"),
        ((1, 2), 2, 33, 7, 16, 5, None, "positions before heads"),
        ((2, 1), 2, 3, 4, 40, 17, (2, 1, 1, 4), "part of more"),
        ((2, 1, 2), 1, 4, 9, 7, 7, (1, 9), "as it is"),
    ],
)
def test_values_and_gradients(outer, n, queries, keys, width, values, bias, way):
    check(outer, n, queries, keys, width, values, bias, way)


@settings(max_examples=4)
@given(
    st.sampled_from([(1,), (1, 2)]),
    st.integers(1, 3),
    *(st.integers(1, 20) for _ in range(4)),
    st.sampled_from(["as it is", "positions before heads", "part of more", "turned"]),
)
def test_other_sizes(outer, n, queries, keys, width, values, way):
    check(outer, n, queries, keys, width, values, None, way)


def test_a_reference_equal_to_its_sequence_has_the_gradients_of_autograd():
    """There every secant is a tangent, bit for bit the same scores having no difference."""
    operands = [torch.randn(2, 1, 34, 8) * 3 for _ in range(3)]
    settings, grad = Settings(None, 0.25), torch.randn(2, 1, 34, 8)
    _, seen = kernel.observe(Operands(*(one[:1] for one in operands)), settings)
    same = [one[:1].repeat(2, 1, 1, 1) for one in operands]
    leaves = [one.double().requires_grad_() for one in same]
    y = F.scaled_dot_product_attention(*leaves, scale=0.25)
    expected = torch.autograd.grad(y, leaves, grad.double())
    for one, other in zip(at_once(seen, same, settings, grad)[1:], expected, strict=True):
        assert float((one - other).abs().max()) <= 1e-5 * float(other.abs().max())


def test_bits_do_not_depend_on_the_batch():
    sequences = [torch.randn(1, 1, 20, 4) for _ in range(3)]
    references, grad = [torch.randn(2, 1, 20, 4) for _ in range(3)], torch.randn(2, 1, 20, 4)
    settings = Settings(None, 0.2)
    _, seen = kernel.observe(Operands(*sequences), settings)
    found = at_once(seen, references, settings, grad)
    alone = [at_once(seen, [one[i : i + 1] for one in references], settings, grad[i : i + 1]) for i in range(2)]
    for one, other in zip(found, zip(*alone, strict=True), strict=True):
        assert torch.equal(one, torch.cat(other))


@pytest.mark.reliability(
    "accelerators",
    "attention from which a query sees no key at all, in a kernel",
    "zeros in value and in gradient, and no number is lost",
)
def test_a_query_that_sees_nothing_gets_zeros():
    sequences, references = [torch.randn(1, 1, 3, 4) for _ in range(3)], [torch.randn(1, 1, 3, 4) for _ in range(3)]
    bias = torch.zeros(3, 3)
    bias[1] = -torch.inf
    _, seen = kernel.observe(Operands(*sequences), Settings(bias, 0.5))
    found = at_once(seen, references, Settings(bias, 0.5), torch.randn(1, 1, 3, 4))
    assert all(one.isfinite().all() for one in found)
    assert not found[0][0, 0, 1].any()
    assert not found[1][0, 0, 1].any()
    assert found[1][0, 0, 0].all()


def test_nan_stays_in_its_head():
    q, k, v = (torch.randn(1, 2, 3, 4) for _ in range(3))
    q[0, 1, 2] = torch.nan
    y, _ = kernel.attend(Operands(q, k, v), Settings(None, 1.0))
    assert y.isnan().nonzero()[:, :3].unique(dim=0).tolist() == [[0, 1, 2]]


def test_operands_that_kernels_do_not_take():
    q = torch.randn(1, 2, 3, 4)
    wide = torch.randn(1, 2, 3, 129)
    for operands, bias in (
        ((q.double(), q.double(), q.double()), None),
        ((q, q, wide), None),
        ((q[:0], q[:0], q[:0]), None),
        ((q, q, q), torch.zeros(3, 3, dtype=torch.float64)),
        ((q, q, q), torch.zeros(3, 3, dtype=torch.complex64).conj().imag),  # its sign is not in memory
    ):
        assert kernel.attend(Operands(*operands), Settings(bias, 1.0)) is None
        assert kernel.observe(Operands(*operands), Settings(bias, 1.0)) is None


class Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.mix = nn.Conv1d(4, 8, 3, padding=1), nn.Linear(8, 24)
        self.head = nn.Linear(8, 1)

    def forward(self, X):
        x = self.mix(self.stem(X).mT)
        q, k, v = x.unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x.zero_()  # overwrites what a kernel has only borrowed
        return self.head(y + self.stem(X).mT).mean(1)


def test_an_attribution_of_a_model_that_overwrites_the_operands():
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    found = []
    for kernels in (plain_rules(), interpreted_kernels()):
        with kernels:
            found.append(sl.deep_lift_shap(Mixing().eval(), X, random_state=0, n_shuffles=2, device="cpu"))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-6)


@pytest.mark.reliability(
    "accelerators",
    "attention with wide heads on a GPU with little memory on its chip",
    "plain operations of PyTorch compute it; narrow heads keep their kernel",
)
def test_how_wide_heads_may_be(monkeypatch):
    for room, widest in ((232_448, 128), (101_376, 128), (65_536, 64)):
        of = SimpleNamespace(shared_memory_per_block_optin=room)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device, of=of: of)
        assert kernel.widest_heads.__wrapped__(torch.device("cuda", 0)) == widest
    assert kernel.widest_heads(torch.device("cpu")) == 128


@pytest.mark.reliability(
    "accelerators",
    "a model whose layers of attention have many scales, or a scale that depends on the sequence",
    "kernels are compiled once for all of them",
)
def test_kernels_are_compiled_once_for_all_scales(monkeypatch):
    constants = set()
    run = kernel.launch
    monkeypatch.setattr(kernel, "launch", lambda *of, **to: constants.add((of[0], *to.items())) or run(*of, **to))
    operands, grad = Operands(*torch.randn(3, 1, 1, 2, 3)), torch.randn(1, 1, 2, 3)
    for scale in (1, 0.3, 0.7):
        settings = Settings(None, scale)
        _, seen = kernel.observe(operands, settings)
        at_once(seen, operands, settings, grad)
    assert len(constants) == 3


@pytest.mark.reliability(
    "accelerators",
    "a kernel of attention that cannot run for the sequences, and can for their references",
    "plain operations compute the gradients, from what these recorded",
)
def test_a_recording_of_plain_operations():
    operands = Operands(*torch.randn(3, 1, 1, 20, 3))
    _, seen = attention._observe_plainly(operands, Settings(None, 0.5))
    _, sums = kernel.attend(operands, Settings(None, 0.5))
    assert kernel.attention_vjp(operands.value, seen, operands, sums, Settings(None, 0.5), 1e-6) is None
