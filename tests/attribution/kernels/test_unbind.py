"""Slices are PyTorch's, and so are their gradients, which lie in memory as the tensor did."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from multipliers import needs_wide_registers
from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.kernels import attention as kernel
from seqlight.attribution.kernels import unbind
from seqlight.attribution.kernels.attention import Operands, Settings
from seqlight.attribution.kernels.memory_layout import fills


@st.composite
def permutations(draw):
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    order = draw(st.permutations(range(len(shape))))
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float64).view(shape).permute(order), draw(
        st.integers(-len(shape), len(shape) - 1)
    )


@given(permutations(), st.data())
def test_slices_and_gradients(case, data):
    x, dim = case
    used = data.draw(st.sets(st.integers(0, x.shape[dim] - 1), min_size=1))
    found = []
    for function in (unbind.unbind, torch.unbind):
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
        slices = function(leaf, dim)
        total = sum(((i + 1) * slices[i].square()).sum() for i in used)
        found.append((*slices, *torch.autograd.grad(total, leaf)))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@given(permutations())
def test_tensors_that_fill_a_piece_of_memory(case):
    x, _ = case
    assert fills(x.shape, x.stride())
    assert unbind.is_permuted(x) != x.is_contiguous()
    doubled = torch.stack([x, x], -1)[..., 0]
    assert not fills(doubled.shape, doubled.stride()) or doubled.numel() == 1
    assert not fills((2, *x.shape), (0, *x.stride()))


def test_the_gradient_has_the_strides_of_the_tensor():
    x = torch.randn(2, 5, 3, 4).permute(2, 0, 1, 3).requires_grad_()
    a, b, c = unbind.iterate(x)
    (grad,) = torch.autograd.grad((a * b + c).sum(), x)
    assert grad.stride() == x.stride()
    assert next(iter(unbind.iterate(torch.ones(2)))) == 1
    with pytest.raises(TypeError, match="0-d"):
        unbind.iterate(torch.tensor(1.0))


@given(permutations(), st.data())
def test_derivatives_of_gradients(case, data):
    x, dim = case
    x = x / 7 + 1
    used = data.draw(st.sets(st.integers(0, x.shape[dim] - 1), min_size=1))

    def power(function, leaf):
        slices = function(leaf, dim)
        (grad,) = torch.autograd.grad(sum((slices[i] ** (i + 3)).sum() for i in used), leaf, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), leaf)[0]

    found, expected = (
        power(function, x.clone(memory_format=torch.preserve_format).requires_grad_())
        for function in (unbind.unbind, torch.unbind)
    )
    torch.testing.assert_close(found, expected)


def of_heads(n, slices=3):
    """Views of one tensor, as heads of attention are."""
    return torch.randn(n, 7, slices, 2, 8).permute(2, 0, 3, 1, 4)


@needs_wide_registers
def test_gradients_of_attention_are_slices_of_one_tensor():
    settings, grad = Settings(None, 0.3), torch.randn(4, 2, 7, 8)
    _, seen = kernel.observe(Operands(*of_heads(1)), settings)
    operands = of_heads(4)
    found = kernel.attention_vjp(grad, seen, Operands(*operands), None, settings, 1e-6)
    apart = kernel.attention_vjp(grad, seen, Operands(*(one.clone() for one in operands)), None, settings, 1e-6)
    assert all(torch.equal(one, other) for one, other in zip(found, apart, strict=True))
    whole = unbind._tensor_of_slices(found, operands.shape, operands.stride(), 0)
    assert whole.data_ptr() == found.query.data_ptr()
    assert torch.equal(whole, torch.stack(tuple(apart)))
    assert unbind._tensor_of_slices((found.key, found.query, found.value), operands.shape, operands.stride(), 0) is None
    assert unbind._tensor_of_slices((found.query, None, found.value), operands.shape, operands.stride(), 0) is None
    assert unbind._tensor_of_slices(tuple(apart), operands.shape, operands.stride(), 0) is None


@needs_wide_registers
@pytest.mark.parametrize("at", [(0, 0, 0), (0, 1, 1), (0, 2, 1), (1, 2, 3), (0, 2, 4), (2, 1, 0)])
@pytest.mark.parametrize("slices", [3, 5, 6])
def test_any_slices_of_one_tensor(at, slices):
    """Also where they overlap, or there are more."""
    if max(at) >= slices:
        return
    settings, grad, of = Settings(None, 0.3), torch.randn(4, 2, 7, 8), of_heads(4, slices)
    _, seen = kernel.observe(Operands(*of_heads(1)), settings)
    operands = Operands(*(of[i] for i in at))
    found = kernel.attention_vjp(grad, seen, operands, None, settings, 1e-6)
    apart = kernel.attention_vjp(grad, seen, Operands(*(one.clone() for one in operands)), None, settings, 1e-6)
    assert all(torch.equal(one, other) for one, other in zip(found, apart, strict=True))


class Attending(nn.Module):
    """Self-attention, with the heads made in one of the ways in which people do it; values may have queries in them."""

    def __init__(self, how, twice):
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.how, self.twice = nn.Linear(4, 48), how, twice

    def forward(self, x):
        y = self.mix(x.mT).unflatten(2, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        if self.how == "indexed":
            q, k, v = y[0], y[1], y[2]
        elif self.how == "unbind":
            q, k, v = y.unbind(0)
        else:
            q, k, v = y
        if self.how == "laid anew":
            q, k = q.contiguous(), k * 1
        v = v + q if self.twice else v
        return nn.functional.scaled_dot_product_attention(q, k, v).square().sum((1, 2, 3))[:, None]


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("how", ["iterated", "unbind", "laid anew"])
@pytest.mark.parametrize(("dtype", "near"), [("float32", (1e-3, 1e-5)), ("float64", (1e-9, 1e-12))])
def test_heads_of_attention_made_in_any_way(how, twice, dtype, near):
    X, settings = random_one_hot((2, 4, 9), random_state=0), {"n_shuffles": 3, "device": "cpu"}
    settings["references"] = torch.stack([random_one_hot((3, 4, 9), random_state=i) for i in (1, 2)])
    found = deep_lift_shap(Attending(how, twice), X, dtype=dtype, **settings)
    expected = deep_lift_shap(Attending("indexed", twice), X, dtype="float64", **settings)
    torch.testing.assert_close(found.double(), expected, rtol=near[0], atol=near[1])
