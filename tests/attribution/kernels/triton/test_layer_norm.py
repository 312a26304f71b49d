"""The gradient of layer norm in Triton is that of the plain rule."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

import seqlight as sl
from multipliers import plain_rules, reference_pairs
from seqlight.attribution.rules import layer_norm
from triton_interpreter import interpreted_kernels, needs_interpreter

pytestmark = needs_interpreter
pytest.importorskip("triton")

from seqlight.attribution.kernels.triton import layer_norm as kernels  # noqa: E402


def normalised(x):
    return x, x.mean(-1, keepdim=True), (x.var(-1, unbiased=False, keepdim=True) + 1e-2).rsqrt()


@settings(max_examples=30)
@given(reference_pairs(), st.booleans())
@example((torch.randn(1, 2100), torch.randn(2, 2100)), True)
@example((torch.randn(5, 130), torch.randn(65, 130)), True)
def test_gradients(both, weighted):
    x1, x0 = (one.nan_to_num(0, 3, -3) for one in both)
    if x0.shape[-1] != x1.shape[-1]:
        return
    weight = torch.linspace(0.5, 2, x0.shape[-1], dtype=x0.dtype) if weighted else None
    recorded, reference, grad = normalised(x1), normalised(x0), torch.cos(x0)
    found = kernels.layer_norm_vjp(grad, weight, recorded, reference)
    expected = layer_norm.layer_norm_vjp(grad, weight, recorded, reference)
    close = {"rtol": 1e-10, "atol": 1e-10} if x0.dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(found, expected, **close)


def test_nan_stays_in_its_row():
    x1, x0 = torch.randn(2, 5), torch.randn(4, 5)
    x1[1, 2] = torch.nan
    found = kernels.layer_norm_vjp(torch.ones(4, 5), None, normalised(x1), normalised(x0))
    assert found.isnan().all(1).tolist() == [False, True, False, True]
    assert found.isnan().any(1).tolist() == [False, True, False, True]


def test_tensors_that_kernels_do_not_take():
    x = torch.randn(2, 3, 4)
    for one, weight in ((x.half(), None), (x, torch.ones(4).double()), (x.mT, None)):
        assert kernels.layer_norm_vjp(one.contiguous(), weight, normalised(one), normalised(one)) is None
    nothing = x[:0], x[:0, :, :1], x[:0, :, :1]
    assert kernels.layer_norm_vjp(x[:0], None, nothing, nothing) is None


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm, self.head = nn.Conv1d(4, 7, 3), nn.LayerNorm(7), nn.Linear(7, 1)

    def forward(self, X):
        return self.head(self.norm(self.stem(X).mT).softmax(-1)).square().mean(1)


def test_an_attribution_through_layer_norm_and_softmax():
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    found = []
    for kernels_in_use in (plain_rules(), interpreted_kernels()):
        with kernels_in_use:
            found.append(sl.deep_lift_shap(Normed().eval(), X, random_state=0, n_shuffles=3, device="cpu"))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-7)
