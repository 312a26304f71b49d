"""Attention a head at a time: that of float64 with all scores in memory, in value and in gradient."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

import seqlight as sl
from multipliers import needs_wide_registers
from seqlight.attribution.kernels import attention as kernel
from seqlight.attribution.kernels import table
from seqlight.attribution.kernels.attention import Operands, Settings
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules import attention
from seqlight.attribution.rules.logarithmic_mean import nearness
from seqlight.native import threads


def slowly(seen, operands, settings, grad):
    y, pull = attention._attend_plainly(seen, Operands(*operands), settings)
    return y, *pull(grad)


def at_once(seen, operands, settings, grad):
    operands = Operands(*operands)
    y, sums = kernel.attend(operands, settings)
    return y, *kernel.attention_vjp(grad, seen, operands, sums, settings, nearness(grad.dtype))


def laid_out(x, way):
    """The same numbers elsewhere in memory."""
    if way == "positions before heads":
        return x.transpose(-3, -2).contiguous().transpose(-3, -2)
    if way == "part of more":
        return torch.cat([x, x], -1)[..., : x.shape[-1]]
    return x.mT.contiguous().mT if way == "turned" else x


class Case:
    def __init__(self, *of):
        self.of = of

    def __repr__(self):
        sequences, references, settings, _, way = self.of
        bias = None if settings.bias is None else tuple(settings.bias.shape)
        return f"{[tuple(one.shape) for one in (*sequences, *references)]}, {bias}, {way}"


@st.composite
def cases(draw):
    outer = draw(st.sampled_from([(1,), (3,), (1, 2), (2, 3), (2, 1, 2)]))
    n, queries, keys = draw(st.integers(1, 3)), draw(st.integers(1, 70)), draw(st.integers(1, 70))
    width, values = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))

    def some(*shape):
        return torch.randn(shape, generator=generator)

    sequences = [some(*outer, *of) for of in ((queries, width), (keys, width), (keys, values))]
    references = [one.repeat(n, *[1] * (one.ndim - 1)) + some(n * outer[0], *one.shape[1:]) for one in sequences]
    bias = None
    if draw(st.booleans()):
        bias = some(*draw(st.sampled_from([(queries, keys), (1, keys), (queries, 1), (1, 1, keys)]))[-len(outer) - 2 :])
        bias = bias.masked_fill(bias > 1, -torch.inf)
        bias[..., 0].clamp_(min=0)  # each sees something
    settings = Settings(bias, draw(st.sampled_from([1.0, 0.3])))
    way = draw(st.sampled_from(["as it is", "positions before heads", "part of more", "turned"]))
    grad = some(n * outer[0], *outer[1:], queries, values)
    return Case(sequences, references, settings, grad, way)


@needs_wide_registers
@given(cases())
def test_values_and_gradients(case):
    sequences, references, settings, grad, way = case.of
    y, seen = kernel.observe(Operands(*sequences), settings)
    found = at_once(seen, [laid_out(one, way) for one in references], settings, laid_out(grad, way))
    exact = Settings(None if settings.bias is None else settings.bias.double(), settings.scale)
    wanted, in_double = attention._observe_plainly(Operands(*(one.double() for one in sequences)), exact)
    expected = slowly(in_double, [one.double() for one in references], exact, grad.double())
    torch.testing.assert_close(y.double(), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(seen.sums, in_double.sums, rtol=1e-6, atol=1e-5)
    for one, other in zip(found, expected, strict=True):
        size = float(other.abs().max()) + float(grad.abs().max())
        assert one.shape == other.shape
        # Secants over steps of a few 1e-6 have few digits; with PyTorch's operations they have no more.
        assert float((one - other).abs().max()) <= 1e-2 * size
    # But what they have too much or too little is too small to count.
    repeated = [
        one.repeat(len(other) // len(one), *[1] * (one.ndim - 1))
        for one, other in zip(sequences, references, strict=True)
    ]
    steps = [(one - other) * m for one, other, m in zip(repeated, references, found[1:], strict=True)]
    rise = (y.repeat(len(grad) // len(y), *[1] * (y.ndim - 1)) - found[0]) * grad
    size = sum(float(one.abs().double().sum()) for one in (*steps, rise)) + 1
    assert abs(sum(float(one.double().sum()) for one in steps) - float(rise.double().sum())) <= 1e-5 * size


@needs_wide_registers
def test_a_reference_equal_to_its_sequence_has_the_gradients_of_autograd():
    """There every secant is a tangent, bit for bit the same scores having no difference."""
    operands = [torch.randn(4, 2, 50, 16) * 3 for _ in range(3)]
    settings, grad = Settings(None, 0.25), torch.randn(4, 2, 50, 16)
    _, seen = kernel.observe(Operands(*(one[:1] for one in operands)), settings)
    same = [one[:1].repeat(4, 1, 1, 1) for one in operands]
    found = kernel.attention_vjp(grad, seen, Operands(*same), None, settings, nearness(torch.float32))
    leaves = [one.double().requires_grad_() for one in same]
    y = F.scaled_dot_product_attention(*leaves, scale=0.25)
    expected = torch.autograd.grad(y, leaves, grad.double())
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max()) <= 1e-5 * float(other.abs().max())


@needs_wide_registers
def test_bits_depend_neither_on_the_batch_nor_on_threads(monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_TEAM", 1)
    sequences = [torch.randn(1, 2, 45, 20) for _ in range(3)]
    references, grad = [torch.randn(5, 2, 45, 20) for _ in range(3)], torch.randn(5, 2, 45, 20)
    settings = Settings(None, 0.2)
    _, seen = kernel.observe(Operands(*sequences), settings)
    before, found = torch.get_num_threads(), []
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            found.append(at_once(seen, references, settings, grad))
    finally:
        torch.set_num_threads(before)
    alone = [at_once(seen, [one[i : i + 1] for one in references], settings, grad[i : i + 1]) for i in range(5)]
    found.append([torch.cat(some) for some in zip(*alone, strict=True)])
    assert all(torch.equal(one, other) for each in found[1:] for one, other in zip(found[0], each, strict=True))


@needs_wide_registers
def test_nan_stays_in_its_head():
    q, k, v = (torch.randn(2, 3, 20, 8) for _ in range(3))
    q[1, 2, 5] = torch.nan
    y, _ = kernel.attend(Operands(q, k, v), Settings(None, 1.0))
    assert y.isnan().nonzero()[:, :3].unique(dim=0).tolist() == [[1, 2, 5]]


class Mixing(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.mix = torch.nn.Conv1d(4, 32, 5, padding=2), torch.nn.Linear(32, 96)
        self.head = torch.nn.Linear(32, 1)

    def forward(self, X):
        q, k, v = self.mix(self.stem(X).mT).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        return self.head(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).mean(1))


@needs_wide_registers
def test_the_engine_uses_the_kernel(monkeypatch):
    torch.manual_seed(0)
    model, met, forward = Mixing(), [], kernel._forward
    monkeypatch.setattr(kernel, "_forward", lambda *args: met.append(1) or forward(*args))
    X = sl.random_one_hot((2, 4, 60), random_state=0).float()
    settings = {"n_shuffles": 3, "device": "cpu", "random_state": 0}
    found = sl.deep_lift_shap(model, X, **settings)
    assert len(met) == 2
    expected = sl.deep_lift_shap(model, X, dtype="float64", **settings)
    assert len(met) == 2
    assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


class Packed(Mixing):
    """All sequences behind each other, each seeing itself alone; or, by mistake, positions for rows."""

    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, X):
        q, k, v = self.mix(self.stem(X).mT).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)  # rows, heads, positions
        if self.way == "packed":
            q, k, v = (one.transpose(0, 1).flatten(1, 2)[None] for one in (q, k, v))
            row = torch.arange(len(X)).repeat_interleave(X.shape[-1])
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=row[:, None] == row)
            y = y[0].unflatten(1, (len(X), -1)).transpose(0, 1)
        elif self.way == "keys of all rows":
            k, v = (one.transpose(0, 1).flatten(1, 2).expand(len(X), *[-1] * 3) for one in (k, v))
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            q, k, v = (one.flatten(0, 1).transpose(0, 1) for one in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v).transpose(0, 1).unflatten(0, (len(X), 2))
        return self.head(y.transpose(1, 2).flatten(2).mean(1))


@needs_wide_registers
@pytest.mark.parametrize("way", ["packed", "keys of all rows", "positions for rows"])
@pytest.mark.filterwarnings("ignore::seqlight.errors.ConvergenceWarning")
def test_models_that_mix_rows_are_refused(way):
    """Nothing is read that is not there: refused, or, for a model that does not mix rows, explained as by float64."""
    torch.manual_seed(0)
    model, X = Packed(way), sl.random_one_hot((4, 4, 20), random_state=0).float()
    settings = {"n_shuffles": 10, "device": "cpu", "random_state": 0, "batch_size": 40}
    if way != "packed":
        with pytest.raises(sl.UnsupportedOperation, match="mixes the rows"):
            sl.deep_lift_shap(model, X, **settings)
        return
    found, expected = (sl.deep_lift_shap(model, X, dtype=dtype, **settings) for dtype in (None, "float64"))
    assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


class Reused(Mixing):
    """A mask that is changed in place behind its use."""

    def forward(self, X):
        q, k, v = self.mix(self.stem(X).mT).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        mask = torch.linspace(-1, 1, X.shape[-1]).repeat(X.shape[-1], 1).to(q)
        once = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        mask.mul_(-5)
        again = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.head((once + again).transpose(1, 2).flatten(2).mean(1))


class Viewed(Mixing):
    """What PyTorch's own layout lets a model do without a copy."""

    def forward(self, X):
        q, k, v = self.mix(self.stem(X).mT).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.full((1, 1), 0.5).to(q))
        y = y.transpose(1, 2).view(*X.shape[:1], X.shape[-1], -1)
        q, k, v = (one.flatten(0, 1).mT.contiguous().mT for one in (q, k, v))
        other = F.scaled_dot_product_attention(q, k, v).view(len(X), -1)
        return self.head(y.mean(1)) + other.mean(1, keepdim=True)


@needs_wide_registers
@pytest.mark.parametrize("make", [Reused, Viewed])
def test_models_that_reuse_operands_and_results(make):
    torch.manual_seed(0)
    model, X = make(), sl.random_one_hot((2, 4, 30), random_state=0).float()
    model(X)
    settings = {"n_shuffles": 3, "device": "cpu", "random_state": 0}
    found, expected = (sl.deep_lift_shap(model, X, dtype=dtype, **settings) for dtype in (None, "float64"))
    assert float((found - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_left_to_pytorch(dtype):
    q, k, v = (torch.randn(2, 3, 20, 8, dtype=dtype) for _ in range(3))
    assert not kernel.suits(Operands(q, k, v), None)
    assert kernel_for("attention.attend", "cpu", dtype) is None


def test_without_loops_there_is_no_kernel(monkeypatch):
    monkeypatch.setattr(table, "library", lambda: None)
    kernel_for.cache_clear()
    assert kernel_for("attention.attend", "cpu", torch.float32) is None
    kernel_for.cache_clear()


@needs_wide_registers
def test_weights_too_small_for_normal_numbers_are_0():
    q, k, v = (
        torch.ones(1, 1, 4, 1),
        torch.tensor([0.0, -80.0, -95.0, -torch.inf]).view(1, 1, 4, 1),
        torch.ones(1, 1, 4, 1),
    )
    _, seen = kernel.record(Operands(q, k, v), Settings(None, 1.0))
    assert seen.weights[0, 0, 0].tolist() == [1, pytest.approx(1.8e-35, rel=0.01), 0, 0]
    torch.testing.assert_close(seen.sums, torch.zeros(1, 1, 4, dtype=torch.float64))
