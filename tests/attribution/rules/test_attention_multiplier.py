"""Attention as single nodes of the graph: what products and a softmax give, with first and second derivatives."""

import contextlib

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from multipliers import needs_wide_registers, plain_rules
from seqlight.attribution.engine.forward_record import ForwardRecord
from seqlight.attribution.kernels import attention as kernel
from seqlight.attribution.kernels.attention import Operands, Settings
from seqlight.attribution.methods.differentiable import attributions_and_outputs
from seqlight.attribution.rules.attention_multiplier import (
    AttentionFunction,
    AttentionMultiplierFunction,
    attention_formula,
)

pytestmark = needs_wide_registers


class Mixing(nn.Module):
    """Attention between a convolution and a readout, with a mask or not."""

    def __init__(self, way="plain"):
        super().__init__()
        torch.manual_seed(0)
        self.way = way
        self.stem, self.mix = nn.Conv1d(4, 16, 5, padding=2), nn.Linear(16, 48)
        self.queries, self.head = nn.Parameter(torch.randn(2, 7, 8)), nn.Linear(16, 1)
        with torch.no_grad():
            self.mix.weight.mul_(4)

    def forward(self, X):
        q, k, v = self.mix(self.stem(X).mT).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        q = self.queries.expand(len(X), -1, -1, -1) if self.way == "learned queries" else q
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.way == "causal")
        return self.head(F.gelu(y.transpose(1, 2).flatten(2)).mean(1))


X = sl.random_one_hot((3, 4, 20), random_state=0)
REFERENCES = sl.dinucleotide_shuffle(X.float(), n=2, random_state=0)


def gradients(model, dtype, kernels=True, **options):
    """Attributions, and the gradient of their size at all parameters that have one."""
    model.to(dtype).zero_grad()
    with contextlib.nullcontext() if kernels else plain_rules():
        found, _ = attributions_and_outputs(model, X.to(dtype), REFERENCES.to(dtype), 0, **options)
        found.square().sum().backward()
    at = torch.cat([one.grad.double().flatten() for one in model.parameters() if one.grad is not None])
    return found.detach().double(), at


@pytest.mark.parametrize("way", ["plain", "causal", "learned queries"])
def test_gradients_are_as_near_to_those_in_float64_as_those_of_products_and_a_softmax(way):
    model = Mixing(way)
    exact, at_exact = gradients(model, torch.float64)
    (found, at), (plain, at_plain) = (gradients(model, torch.float32, kernels) for kernels in (True, False))
    assert (found - exact).abs().max() <= 1.5 * (plain - exact).abs().max() + 1e-6 * exact.abs().max()
    assert (at - at_exact).norm() <= 1.5 * (at_plain - at_exact).norm() + 1e-6 * at_exact.norm()
    assert (at - at_exact).norm() < 0.01 * at_exact.norm()


def test_nodes_are_used_where_all_operands_depend_on_the_input(monkeypatch):
    met = []
    for one in (AttentionFunction, AttentionMultiplierFunction):
        backward = one.backward
        monkeypatch.setattr(one, "backward", lambda ctx, *g, to=backward: met.append(to.__qualname__) or to(ctx, *g))
    gradients(Mixing(), torch.float32)
    assert sorted(set(met)) == ["AttentionFunction.backward", "AttentionMultiplierFunction.backward"]
    met.clear()
    gradients(Mixing("learned queries"), torch.float32)
    gradients(Mixing(), torch.float64)
    assert not met


def test_a_recorded_forward_pass_makes_no_difference():
    model = Mixing().float()
    apart, at_apart = gradients(model, torch.float32)
    with ForwardRecord(model) as record:
        model(X.float())
    found, at = gradients(model, torch.float32, record=record)
    torch.testing.assert_close(found, apart)
    assert (at - at_apart).norm() < 1e-3 * at_apart.norm()  # PyTorch's attention rounds differently


def second(dtype, *operands):
    """The derivatives of derivatives, from inputs of float64."""
    leaves = [one.to(dtype).requires_grad_() for one in operands]
    sequences, references = leaves[1:4], leaves[4:]
    if dtype == torch.float32:
        seen, own = (
            kernel.record(Operands(*(one.detach() for one in of)), Settings(None, 0.3))[1]
            for of in (sequences, references)
        )
        found = AttentionMultiplierFunction.apply((None, None), 0.3, seen, own, leaves[0], *sequences, *references)
        y = AttentionFunction.apply(None, 0.3, *references)
    else:
        found = attention_formula(None, None, 0.3, *leaves)
        y = F.scaled_dot_product_attention(*references, scale=0.3)
    total = sum(one.square().sum() for one in found) + y.pow(3).sum()
    at = torch.autograd.grad(total, leaves, create_graph=True)
    return torch.autograd.grad(sum(one.square().sum() for one in at), leaves)


def test_derivatives_of_derivatives_are_those_of_the_formula():
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 2, 6, 3), *[(2, 2, 6, 4), (2, 2, 5, 4), (2, 2, 5, 3)] * 2]
    of = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    of[4:] = [3 * one for one in of[4:]]  # large steps, of which float32 has all digits
    for one, expected in zip(second(torch.float32, *of), second(torch.float64, *of), strict=True):
        assert (one - expected).norm() < 0.02 * expected.norm()
